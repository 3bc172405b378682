"""Parameters that only the Responses API has, in a chat request; and the names of those that could not be sent."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
answer = client.chat.completions.with_raw_response.create(
    model="gpt-5-mini",
    messages=[{"role": "user", "content": "What is a gateway?"}],
    verbosity="low",
    seed=7,
    extra_body={"instructions": "Be brief.", "truncation": "auto", "max_tool_calls": 3},
)
print(answer.headers["x-parley-dropped"])
print(answer.parse().choices[0].message.content)
