"""Pydantic AI with its chat model: agents, tools, output types, thinking."""

from collections.abc import AsyncIterable
from typing import Any

from openai import APIError, AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, AgentStreamEvent, ModelAPIError, NativeOutput, RunContext
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse, ThinkingPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from report import TEXTS, Told, error, run
from tools import get_population, get_weather, taken

provider = OpenAIProvider(openai_client=AsyncOpenAI(max_retries=0))


class Person(BaseModel):
    name: str
    born: int


def agent(**options: Any) -> Agent[None, Any]:
    return Agent(OpenAIChatModel(TEXTS["model"], provider=provider), **{"instructions": TEXTS["system"], **options})


def usage_of(usage: Any) -> list[int]:
    return [usage.input_tokens, usage.output_tokens, usage.total_tokens]


async def answer() -> Told:
    result = await agent().run(TEXTS["answer"])
    return {"text": result.output, "finish": result.response.finish_reason, "usage": usage_of(result.usage)}


async def stream() -> Told:
    async with agent().run_stream(TEXTS["answer"]) as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
        finish = result.response.finish_reason
        usage = usage_of(result.usage)
    return {"text": "".join(pieces), "pieces": len(pieces), "finish": finish, "usage": usage}


async def tools() -> Told:
    guide = agent(tools=[get_weather, get_population])
    first = await guide.run(TEXTS["tools"])
    second = await guide.run(TEXTS["tools_again"], message_history=first.all_messages())
    return {"calls": taken(), "texts": [first.output, second.output]}


async def stream_tools() -> Told:
    guide = agent(tools=[get_weather, get_population])
    kinds = set()

    async def watch(context: RunContext, events: AsyncIterable[AgentStreamEvent]) -> None:
        async for event in events:
            kinds.add(event.event_kind)

    first = await guide.run(TEXTS["tools"], event_stream_handler=watch)
    history = first.all_messages()
    second = await guide.run(TEXTS["tools_again"], message_history=history, event_stream_handler=watch)
    assert {"part_start", "part_delta", "function_tool_call", "function_tool_result"} <= kinds
    return {"calls": taken(), "texts": [first.output, second.output]}


async def going_on(**options: Any) -> Told:
    """Every turn is another agent's, with its own instructions and tools."""
    offers = (get_weather, get_population)
    history: list[ModelMessage] = []
    texts = []
    for text, system, offered in zip(
        TEXTS["continued"], TEXTS["systems"], (offers, offers[:1], offers[1:]), strict=True
    ):
        result = await agent(tools=offered, instructions=system).run(text, message_history=history, **options)
        # As a program keeps it between two requests.
        history = ModelMessagesTypeAdapter.validate_json(result.all_messages_json())
        texts.append(result.output)
    return {"texts": texts}


async def continued() -> Told:
    return await going_on()


async def stream_continued() -> Told:
    async def watch(context: RunContext, events: AsyncIterable[AgentStreamEvent]) -> None:
        async for _ in events:
            pass

    return await going_on(event_stream_handler=watch)


async def structured() -> Told:
    """The model calls an output tool; this is how the library asks for a type by default."""
    result = await agent(output_type=Person).run(TEXTS["structured"])
    return result.output.model_dump()


async def structured_native() -> Told:
    result = await agent(output_type=NativeOutput(Person)).run(TEXTS["structured"])
    return result.output.model_dump()


def thought(response: ModelResponse) -> str:
    return "".join(part.content for part in response.parts if isinstance(part, ThinkingPart))


async def reasoning() -> Told:
    result = await agent().run(TEXTS["reasoning"])
    return {"reasoning": thought(result.response), "text": result.output}


async def stream_reasoning() -> Told:
    async with agent().run_stream(TEXTS["reasoning"]) as result:
        text = await result.get_output()
    return {"reasoning": thought(result.response), "text": text}


async def bad_request() -> Told:
    try:
        await agent().run(TEXTS["bad_request"])
    except ModelAPIError as raised:
        return error(raised)
    return {}


async def rate_limited() -> Told:
    try:
        async with agent().run_stream(TEXTS["rate_limited"]) as result:
            await result.get_output()
    except ModelAPIError as raised:
        return error(raised)
    return {}


async def broken_stream() -> Told:
    try:
        async with agent().run_stream(TEXTS["broken_stream"]) as result:
            await result.get_output()
    except (ModelAPIError, APIError) as raised:
        return error(raised)
    return {}


run(
    "pydantic-ai-slim",
    answer,
    stream,
    tools,
    stream_tools,
    continued,
    stream_continued,
    structured,
    structured_native,
    reasoning,
    stream_reasoning,
    bad_request,
    rate_limited,
    broken_stream,
)
