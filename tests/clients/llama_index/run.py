"""LlamaIndex's OpenAI model: chat, stream, an agent with tools, structured prediction."""

import os
from typing import Any

import openai
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import Memory
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from pydantic import BaseModel
from report import TEXTS, Told, error, run
from tools import get_population, get_weather, taken

llm = OpenAI(model=TEXTS["model"], api_base=os.environ["OPENAI_BASE_URL"], max_retries=0)
TOOLS = [FunctionTool.from_defaults(function) for function in (get_weather, get_population)]


class Person(BaseModel):
    """A person."""

    name: str
    born: int


def asked(name: str) -> list[ChatMessage]:
    return [ChatMessage(role="system", content=TEXTS["system"]), ChatMessage(role="user", content=TEXTS[name])]


def answer() -> Told:
    told = llm.chat(asked("answer"))
    return {"text": told.message.content, "finish": told.raw.choices[0].finish_reason}


def stream() -> Told:
    chunks = list(llm.stream_chat(asked("answer")))
    return {"text": chunks[-1].message.content, "pieces": sum(1 for chunk in chunks if chunk.delta)}


async def conversation(*, streaming: bool) -> Told:
    guide = FunctionAgent(llm=llm, tools=TOOLS, system_prompt=TEXTS["system"], streaming=streaming)
    memory = Memory.from_defaults()
    texts = []
    for name in ("tools", "tools_again"):
        handler = guide.run(TEXTS[name], memory=memory)
        pieces = [event.delta async for event in handler.stream_events() if isinstance(event, AgentStream)]
        texts.append(str(await handler))
        assert not streaming or "".join(pieces).endswith(texts[-1])
    return {"calls": taken(), "texts": texts}


async def tools() -> Told:
    return await conversation(streaming=False)


async def stream_tools() -> Told:
    return await conversation(streaming=True)


async def going_on(*, streaming: bool) -> Told:
    """Its memory remembers; every turn is another agent's, with its own prompt and tools."""
    memory = Memory.from_defaults()
    texts = []
    for text, system, offered in zip(TEXTS["continued"], TEXTS["systems"], (TOOLS, TOOLS[:1], TOOLS[1:]), strict=True):
        guide = FunctionAgent(llm=llm, tools=offered, system_prompt=system, streaming=streaming)
        texts.append(str(await guide.run(text, memory=memory)))
    return {"texts": texts}


async def continued() -> Told:
    return await going_on(streaming=False)


async def stream_continued() -> Told:
    return await going_on(streaming=True)


def structured() -> Told:
    person = llm.structured_predict(Person, PromptTemplate(TEXTS["structured"]))
    return person.model_dump()


def failing(call: Any) -> Told:
    try:
        list(call())
    except openai.APIError as raised:
        return error(raised)
    return {}


def bad_request() -> Told:
    return failing(lambda: llm.chat(asked("bad_request")))


def rate_limited() -> Told:
    return failing(lambda: llm.stream_chat(asked("rate_limited")))


def broken_stream() -> Told:
    return failing(lambda: llm.stream_chat(asked("broken_stream")))


run(
    "llama-index-llms-openai",
    answer,
    stream,
    tools,
    stream_tools,
    continued,
    stream_continued,
    structured,
    bad_request,
    rate_limited,
    broken_stream,
)
