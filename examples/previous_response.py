"""A completion that the upstream stores, and one that goes on from it by its id."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
first = client.chat.completions.create(
    model="gpt-5-mini", messages=[{"role": "user", "content": "Name a river."}], store=True
)
second = client.chat.completions.with_raw_response.create(
    model="gpt-5-mini",
    messages=[{"role": "user", "content": "Where does it end?"}],
    extra_body={"previous_response_id": first.id},
)
print(second.headers["x-parley-continuity"])
print(second.parse().choices[0].message.content)
