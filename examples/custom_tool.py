"""A tool whose input is text instead of JSON."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
completion = client.chat.completions.create(
    model="gpt-5-mini",
    messages=[{"role": "user", "content": "How many rivers are in the table? Ask write_sql."}],
    tools=[{"type": "custom", "custom": {"name": "write_sql", "description": "Runs a query."}}],
)
for call in completion.choices[0].message.tool_calls or []:
    assert call.type == "custom"
    print(call.custom.name, call.custom.input)
