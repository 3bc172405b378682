"""LangChain's ChatOpenAI: invoke, stream, bound tools, structured output."""

from typing import Any

import openai
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from report import CONTINUITY, TEXTS, Told, error, run
from tools import get_population, get_weather, taken

llm = ChatOpenAI(model=TEXTS["model"], max_retries=0, stream_usage=True, include_response_headers=True)
TOOLS = {function.__name__: tool(function) for function in (get_weather, get_population)}


class Person(BaseModel):
    name: str
    born: int


def asked(name: str) -> list[Any]:
    return [SystemMessage(TEXTS["system"]), HumanMessage(TEXTS[name])]


def shown(message: Any) -> Told:
    usage = message.usage_metadata
    return {
        "text": message.text,
        "finish": message.response_metadata["finish_reason"],
        "usage": [usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]],
    }


def added(runnable: Any, messages: list[Any]) -> tuple[Any, int]:
    """Stream an answer; return the message that its chunks add up to, and how many had text."""
    chunks = list(runnable.stream(messages))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole, sum(1 for chunk in chunks if chunk.text)


def answer() -> Told:
    return shown(llm.invoke(asked("answer")))


def stream() -> Told:
    whole, pieces = added(llm, asked("answer"))
    return {**shown(whole), "pieces": pieces}


def loop(messages: list[Any], *, streamed: bool, tools: list[Any] | None = None) -> tuple[str, list[str]]:
    bound = llm.bind_tools(list(TOOLS.values()) if tools is None else tools)
    finishes = []
    while True:
        message: AIMessage = added(bound, messages)[0] if streamed else bound.invoke(messages)
        messages.append(message)
        finishes.append(message.response_metadata["finish_reason"])
        if not message.tool_calls:
            return str(message.text), finishes
        for call in message.tool_calls:
            messages.append(TOOLS[call["name"]].invoke(call))


def conversation(*, streamed: bool) -> Told:
    messages = asked("tools")
    first, finishes = loop(messages, streamed=streamed)
    messages.append(HumanMessage(TEXTS["tools_again"]))
    second, more = loop(messages, streamed=streamed)
    return {"calls": taken(), "texts": [first, second], "finishes": finishes + more}


def tools() -> Told:
    return conversation(streamed=False)


def stream_tools() -> Told:
    return conversation(streamed=True)


def going_on(*, streamed: bool) -> Told:
    """Every turn has another system prompt and other tools."""
    offers = list(TOOLS.values())
    messages: list[Any] = [None]
    texts = []
    for text, system, offered in zip(
        TEXTS["continued"], TEXTS["systems"], (offers, offers[:1], offers[1:]), strict=True
    ):
        messages[0] = SystemMessage(system)
        messages.append(HumanMessage(text))
        texts.append(loop(messages, streamed=streamed, tools=offered)[0])
    answers = [message for message in messages if isinstance(message, AIMessage)]
    return {"texts": texts, "continuity": [answer.response_metadata["headers"][CONTINUITY] for answer in answers]}


def continued() -> Told:
    return going_on(streamed=False)


def stream_continued() -> Told:
    return going_on(streamed=True)


def structured() -> Told:
    person = llm.with_structured_output(Person).invoke(asked("structured"))
    assert isinstance(person, Person)
    return person.model_dump()


def bad_request() -> Told:
    try:
        llm.invoke(asked("bad_request"))
    except openai.APIError as raised:
        return error(raised)
    return {}


def rate_limited() -> Told:
    try:
        added(llm, asked("rate_limited"))
    except openai.APIError as raised:
        return error(raised)
    return {}


def broken_stream() -> Told:
    try:
        added(llm, asked("broken_stream"))
    except openai.APIError as raised:
        return error(raised)
    return {}


run(
    "langchain-openai",
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
