"""The Response object itself, and its typed events, from the same chat request."""

import json
import os

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello."}]
typed = {"x-parley-format": "responses"}

answer = client.chat.completions.with_raw_response.create(model="gpt-5-mini", messages=messages, extra_headers=typed)
for item in json.loads(answer.text)["output"]:
    print(item["type"])

with client.chat.completions.with_streaming_response.create(
    model="gpt-5-mini", messages=messages, stream=True, extra_headers=typed
) as streamed:
    for line in streamed.iter_lines():
        if line.startswith("event: "):
            print(line.removeprefix("event: "))
