"""A program that sends its whole history, as any chat program does: the model gets its earlier reasoning back."""

import os

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
messages: list[ChatCompletionMessageParam] = []

for question in ("Name a river.", "Where does it end?", "And where does it begin?"):
    messages.append({"role": "user", "content": question})
    answer = client.chat.completions.with_raw_response.create(model="gpt-5-mini", messages=messages)
    print(answer.headers["x-parley-continuity"])
    messages.append({"role": "assistant", "content": answer.parse().choices[0].message.content})

# Nothing of this answer is kept.
client.chat.completions.create(model="gpt-5-mini", messages=messages, extra_headers={"x-parley-retain": "none"})
