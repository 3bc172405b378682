"""OpenAI's own Python library: plain calls, the streaming helper, a tool loop by hand, parsed answers."""

import json
from typing import Any

import openai
from pydantic import BaseModel
from report import TEXTS, Told, error, run
from tools import get_population, get_weather, taken

client = openai.OpenAI(max_retries=0)
FUNCTIONS = {"get_weather": get_weather, "get_population": get_population}


class WeatherArguments(BaseModel):
    city: str


class PopulationArguments(BaseModel):
    city: str
    year: int


class Person(BaseModel):
    name: str
    born: int


TOOLS = [
    openai.pydantic_function_tool(WeatherArguments, name="get_weather", description="The weather of a city."),
    openai.pydantic_function_tool(
        PopulationArguments, name="get_population", description="How many people live there."
    ),
]


def asked(name: str) -> list[Any]:
    return [{"role": "system", "content": TEXTS["system"]}, {"role": "user", "content": TEXTS[name]}]


def usage_of(completion: Any) -> list[int]:
    usage = completion.usage
    return [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens]


def answer() -> Told:
    completion = client.chat.completions.create(model=TEXTS["model"], messages=asked("answer"))
    choice = completion.choices[0]
    return {"text": choice.message.content, "finish": choice.finish_reason, "usage": usage_of(completion)}


def stream() -> Told:
    chunks = list(
        client.chat.completions.create(
            model=TEXTS["model"], messages=asked("answer"), stream=True, stream_options={"include_usage": True}
        )
    )
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    finish = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1]
    return {"text": "".join(pieces), "pieces": len(pieces), "finish": finish, "usage": usage_of(chunks[-1])}


def loop(messages: list[Any], *, streamed: bool, tools: list[Any] = TOOLS) -> tuple[str, list[str]]:
    finishes = []
    while True:
        if streamed:
            with client.chat.completions.stream(model=TEXTS["model"], messages=messages, tools=tools) as events:
                choice: Any = events.get_final_completion().choices[0]
        else:
            choice = client.chat.completions.create(model=TEXTS["model"], messages=messages, tools=tools).choices[0]
        finishes.append(choice.finish_reason)
        messages.append(choice.message)
        if not choice.message.tool_calls:
            return choice.message.content, finishes
        for call in choice.message.tool_calls:
            result = FUNCTIONS[call.function.name](**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


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
    completion = client.chat.completions.parse(
        model=TEXTS["model"], messages=asked("structured"), response_format=Person
    )
    person = completion.choices[0].message.parsed
    assert isinstance(person, Person)
    return person.model_dump()


def reasoning() -> Told:
    completion = client.chat.completions.create(model=TEXTS["model"], messages=asked("reasoning"))
    message: Any = completion.choices[0].message
    return {"reasoning": message.reasoning_content, "text": message.content}


def stream_reasoning() -> Told:
    chunks = client.chat.completions.create(model=TEXTS["model"], messages=asked("reasoning"), stream=True)
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    return {"reasoning": thought, "text": "".join(delta.content or "" for delta in deltas)}


def failing(name: str, **options: Any) -> Told:
    try:
        for _ in client.chat.completions.create(model=TEXTS["model"], messages=asked(name), **options):
            pass
    except openai.APIError as raised:
        return error(raised)
    return {}


def bad_request() -> Told:
    return failing("bad_request")


def rate_limited() -> Told:
    return failing("rate_limited", stream=True)


def broken_stream() -> Told:
    return failing("broken_stream", stream=True)


run(
    "openai",
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
