"""A completion that the upstream stores: read again, with its messages, and deleted."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
made = client.chat.completions.create(
    model="gpt-5-mini", messages=[{"role": "user", "content": "Name a river."}], store=True
)
print(client.chat.completions.retrieve(made.id).choices[0].message.content)
for message in client.chat.completions.messages.list(made.id):
    print(message.role, message.content)
print(client.chat.completions.delete(made.id).deleted)
