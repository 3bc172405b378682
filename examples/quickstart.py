"""One question, one answer."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
completion = client.chat.completions.create(
    model="gpt-5-mini",
    messages=[
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is a gateway?"},
    ],
    reasoning_effort="low",
)
print(completion.choices[0].message.content)
print(completion.usage)
