"""What the model thought: a summary of its reasoning, beside its answer."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
completion = client.chat.completions.create(
    model="gpt-5-mini",
    messages=[{"role": "user", "content": "Which is larger, 9.11 or 9.9?"}],
    reasoning_effort="medium",
    extra_body={"reasoning": {"summary": "auto"}},
)
message = completion.choices[0].message
print((message.model_extra or {}).get("reasoning_content"))
print(message.content)
if completion.usage is not None and completion.usage.completion_tokens_details is not None:
    print(completion.usage.completion_tokens_details.reasoning_tokens, "reasoning tokens")
