"""A tool that only the Responses API has, in its own form: the upstream runs the code."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
completion = client.chat.completions.create(
    model="gpt-5-mini",
    messages=[{"role": "user", "content": "What is the 20th prime number?"}],
    extra_body={"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
)
print(completion.choices[0].finish_reason)
print(completion.choices[0].message.content)
