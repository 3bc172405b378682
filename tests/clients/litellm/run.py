"""LiteLLM as a library: completion, stream chunks put together, tools by hand, reasoning_content."""

import json
from typing import Any

import litellm
from pydantic import BaseModel
from report import TEXTS, Told, error, run
from tools import get_population, get_weather, taken

FUNCTIONS = {"get_weather": get_weather, "get_population": get_population}
MODEL = f"openai/{TEXTS['model']}"
litellm.num_retries = 0


class Person(BaseModel):
    name: str
    born: int


def function(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": "About a city.", "parameters": parameters}}


TOOLS = [
    function("get_weather", {"city": {"type": "string"}}),
    function("get_population", {"city": {"type": "string"}, "year": {"type": "integer"}}),
]


def asked(name: str) -> list[Any]:
    return [{"role": "system", "content": TEXTS["system"]}, {"role": "user", "content": TEXTS[name]}]


def shown(completion: Any) -> Told:
    usage = completion.usage
    return {
        "text": completion.choices[0].message.content,
        "finish": completion.choices[0].finish_reason,
        "usage": [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens],
    }


def added(messages: list[Any], **options: Any) -> tuple[Any, int]:
    """Stream an answer; return the completion its chunks add up to, and how many had text."""
    chunks = list(litellm.completion(messages=messages, stream=True, stream_options={"include_usage": True}, **options))
    texts = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    return litellm.stream_chunk_builder(chunks, messages=messages), len(texts)


def answer() -> Told:
    return shown(litellm.completion(model=MODEL, messages=asked("answer")))


def stream() -> Told:
    whole, pieces = added(asked("answer"), model=MODEL)
    return {**shown(whole), "pieces": pieces}


def loop(messages: list[Any], *, streamed: bool, tools: list[Any] = TOOLS) -> tuple[str, list[str]]:
    finishes = []
    while True:
        if streamed:
            completion, _ = added(messages, model=MODEL, tools=tools)
        else:
            completion = litellm.completion(model=MODEL, messages=messages, tools=tools)
        choice = completion.choices[0]
        finishes.append(choice.finish_reason)
        messages.append(choice.message)
        if not choice.message.tool_calls:
            return choice.message.content, finishes
        for call in choice.message.tool_calls:
            result = FUNCTIONS[call.function.name](**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "name": call.function.name, "content": result})


def conversation(*, streamed: bool) -> Told:
    messages = asked("tools")
    first, finishes = loop(messages, streamed=streamed)
    messages.append({"role": "user", "content": TEXTS["tools_again"]})
    second, more = loop(messages, streamed=streamed)
    return {"calls": taken(), "texts": [first, second], "finishes": finishes + more}


def tools() -> Told:
    return conversation(streamed=False)


def stream_tools() -> Told:
    return conversation(streamed=True)


def going_on(*, streamed: bool) -> Told:
    """Every turn has another system prompt and other tools."""
    messages: list[Any] = [{}]
    texts = []
    for text, system, offered in zip(TEXTS["continued"], TEXTS["systems"], (TOOLS, TOOLS[:1], TOOLS[1:]), strict=True):
        messages[0] = {"role": "system", "content": system}
        messages.append({"role": "user", "content": text})
        texts.append(loop(messages, streamed=streamed, tools=offered)[0])
    return {"texts": texts}


def continued() -> Told:
    return going_on(streamed=False)


def stream_continued() -> Told:
    return going_on(streamed=True)


def structured() -> Told:
    completion = litellm.completion(model=MODEL, messages=asked("structured"), response_format=Person)
    return Person.model_validate_json(completion.choices[0].message.content).model_dump()


def reasoning() -> Told:
    message = litellm.completion(model=MODEL, messages=asked("reasoning")).choices[0].message
    return {"reasoning": message.reasoning_content, "text": message.content}


def stream_reasoning() -> Told:
    message = added(asked("reasoning"), model=MODEL)[0].choices[0].message
    return {"reasoning": message.reasoning_content, "text": message.content}


def bad_request() -> Told:
    try:
        litellm.completion(model=MODEL, messages=asked("bad_request"))
    except litellm.BadRequestError as raised:
        return error(raised)
    return {}


def rate_limited() -> Told:
    try:
        added(asked("rate_limited"), model=MODEL)
    except litellm.RateLimitError as raised:
        return error(raised)
    return {}


def broken_stream() -> Told:
    try:
        added(asked("broken_stream"), model=MODEL)
    except litellm.ServiceUnavailableError as raised:
        return error(raised)
    return {}


run(
    "litellm",
    answer,
    stream,
    tools,
    stream_tools,
    continued,
    stream_continued,
    structured,
    reasoning,
    stream_reasoning,
    bad_request,
    rate_limited,
    broken_stream,
)
