"""A conversation that the upstream itself keeps, by its `conv_...` id."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
conversation = client.conversations.create()
for question in ("Name a river.", "Where does it end?"):
    completion = client.chat.completions.create(
        model="gpt-5-mini",
        messages=[{"role": "user", "content": question}],
        extra_body={"conversation": conversation.id},
    )
    print(completion.choices[0].message.content)
print(len(client.conversations.items.list(conversation.id).data), "items")
