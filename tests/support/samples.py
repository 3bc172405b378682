"""Chat requests that several suites use."""

from typing import Any

# `Any`: the SDK types its parameters more closely than a test wants to spell.
WEATHER_TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city at this moment.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
MODEL = "gpt-5-mini"


def user(text: str) -> Any:
    """Return a user message."""
    return {"role": "user", "content": text}


def tool_result(call_id: str, text: str) -> Any:
    """Return a tool message."""
    return {"role": "tool", "tool_call_id": call_id, "content": text}
