"""The result of a tool as the item that the Responses API has for it, among chat messages."""

import os
from typing import Any

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
tool = {"type": "function", "function": {"name": "take_photo", "parameters": {"type": "object", "properties": {}}}}
messages: list[Any] = [{"role": "user", "content": "Take a photo, and say what is on it."}]
completion = client.chat.completions.create(model="gpt-5-mini", messages=messages, extra_body={"tools": [tool]})
messages.append(completion.choices[0].message)
for call in completion.choices[0].message.tool_calls or []:
    output = [{"type": "input_image", "image_url": "https://example.com/photo.png"}]
    messages.append({"type": "function_call_output", "call_id": call.id, "output": output})
completion = client.chat.completions.create(model="gpt-5-mini", messages=messages, extra_body={"tools": [tool]})
print(completion.choices[0].message.content)
