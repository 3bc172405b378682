"""The Agents SDK with its chat model: the runner drives the tool loop."""

from collections.abc import Awaitable, Callable
from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    Runner,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)
from agents.result import RunResultBase
from openai import APIError, AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent
from pydantic import BaseModel
from report import TEXTS, Told, error, run
from tools import get_population, get_weather, taken

set_tracing_disabled(True)
client = AsyncOpenAI(max_retries=0)


class Person(BaseModel):
    name: str
    born: int


def agent(**options: Any) -> Agent:
    return Agent(
        name="Guide",
        model=OpenAIChatCompletionsModel(model=TEXTS["model"], openai_client=client),
        model_settings=ModelSettings(include_usage=True),
        **{"instructions": TEXTS["system"], **options},
    )


def usage_of(result: RunResultBase) -> list[int]:
    usage = result.context_wrapper.usage
    return [usage.input_tokens, usage.output_tokens, usage.total_tokens]


async def streamed(starting: Agent, messages: Any, **options: Any) -> tuple[Any, list[str]]:
    result = Runner.run_streamed(starting, messages, **options)
    pieces = []
    async for event in result.stream_events():
        if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
            pieces.append(event.data.delta)
    return result, pieces


async def answer() -> Told:
    result = await Runner.run(agent(), TEXTS["answer"])
    return {"text": result.final_output, "usage": usage_of(result)}


async def stream() -> Told:
    result, pieces = await streamed(agent(), TEXTS["answer"])
    assert "".join(pieces) == result.final_output
    return {"text": result.final_output, "pieces": len(pieces), "usage": usage_of(result)}


TOOLS = [function_tool(get_weather), function_tool(get_population)]


async def tools() -> Told:
    guide = agent(tools=TOOLS)
    first = await Runner.run(guide, TEXTS["tools"])
    again = [*first.to_input_list(), {"role": "user", "content": TEXTS["tools_again"]}]
    second = await Runner.run(guide, again)
    return {"calls": taken(), "texts": [first.final_output, second.final_output]}


async def stream_tools() -> Told:
    guide = agent(tools=TOOLS)
    first, _ = await streamed(guide, TEXTS["tools"])
    again = [*first.to_input_list(), {"role": "user", "content": TEXTS["tools_again"]}]
    second, _ = await streamed(guide, again)
    return {"calls": taken(), "texts": [first.final_output, second.final_output]}


async def going_on(ask: Callable[..., Awaitable[str]]) -> Told:
    """Its session remembers; every turn is another agent's, with its own instructions and tools."""
    session = SQLiteSession("continued")
    turns = zip(TEXTS["continued"], TEXTS["systems"], (TOOLS, TOOLS[:1], TOOLS[1:]), strict=True)
    texts = [await ask(agent(instructions=system, tools=tools), text, session=session) for text, system, tools in turns]
    return {"texts": texts}


async def continued() -> Told:
    async def ask(starting: Agent, text: str, **options: Any) -> str:
        return str((await Runner.run(starting, text, **options)).final_output)

    return await going_on(ask)


async def stream_continued() -> Told:
    async def ask(starting: Agent, text: str, **options: Any) -> str:
        return str((await streamed(starting, text, **options))[0].final_output)

    return await going_on(ask)


async def structured() -> Told:
    result = await Runner.run(agent(output_type=Person), TEXTS["structured"])
    return result.final_output_as(Person, raise_if_incorrect_type=True).model_dump()


def thought(result: RunResultBase) -> str:
    items = [item.raw_item for item in result.new_items if item.type == "reasoning_item"]
    return "".join(part.text for item in items for part in item.summary)


async def reasoning() -> Told:
    result = await Runner.run(agent(), TEXTS["reasoning"])
    return {"reasoning": thought(result), "text": result.final_output}


async def stream_reasoning() -> Told:
    result, _ = await streamed(agent(), TEXTS["reasoning"])
    return {"reasoning": thought(result), "text": result.final_output}


async def bad_request() -> Told:
    try:
        await Runner.run(agent(), TEXTS["bad_request"])
    except APIError as raised:
        return error(raised)
    return {}


async def rate_limited() -> Told:
    try:
        await streamed(agent(), TEXTS["rate_limited"])
    except APIError as raised:
        return error(raised)
    return {}


async def broken_stream() -> Told:
    try:
        await streamed(agent(), TEXTS["broken_stream"])
    except APIError as raised:
        return error(raised)
    return {}


run(
    "openai-agents",
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
