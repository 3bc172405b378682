"""A tool of an MCP server, which the upstream calls once the program has approved it."""

import json
import os

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
server = {"type": "mcp", "server_label": "docs", "server_url": "https://example.com/mcp", "require_approval": "always"}
messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Look up what a gateway is."}]

while True:
    completion = client.chat.completions.create(model="gpt-5-mini", messages=messages, extra_body={"tools": [server]})
    message = completion.choices[0].message
    messages.append(message)  # type: ignore[arg-type]  # the SDK's own way to echo a message
    if not message.tool_calls:
        break
    for call in message.tool_calls:
        assert call.type == "function" and call.function.name == "mcp_approval"
        question = json.loads(call.function.arguments)
        print(f"approved: {question['server_label']}.{question['name']}")
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "approve"})
print(message.content)
