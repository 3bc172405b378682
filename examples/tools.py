"""A tool loop in a named conversation: the model's reasoning is kept between the rounds."""

import json
import os

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
conversation = {"x-parley-conversation": f"tools-{os.getpid()}"}
tools: list[ChatCompletionToolParam] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the weather in Paris?"}]

while True:
    answer = client.chat.completions.with_raw_response.create(
        model="gpt-5-mini", messages=messages, tools=tools, extra_headers=conversation
    )
    print(answer.headers["x-parley-continuity"])
    message = answer.parse().choices[0].message
    messages.append(message)  # type: ignore[arg-type]  # the SDK's own way to echo a message
    if not message.tool_calls:
        break
    for call in message.tool_calls:
        assert call.type == "function"
        city = json.loads(call.function.arguments)["city"]
        messages.append({"role": "tool", "tool_call_id": call.id, "content": f"{city}: 21 degrees"})
print(message.content)
