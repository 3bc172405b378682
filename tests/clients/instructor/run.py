"""Instructor: answers as Pydantic models, by a forced tool, by schema, by JSON mode, in part while they stream."""

from typing import Any

import instructor
import openai
from instructor.core import InstructorRetryException
from pydantic import BaseModel, ValidationInfo, field_validator
from report import TEXTS, Told, error, run

client = openai.OpenAI(max_retries=0)
by_tool = instructor.from_openai(client, mode=instructor.Mode.TOOLS)
by_schema = instructor.from_openai(client, mode=instructor.Mode.JSON_SCHEMA)
by_json = instructor.from_openai(client, mode=instructor.Mode.JSON)


class Person(BaseModel):
    name: str
    born: int


def asked(name: str) -> list[Any]:
    return [{"role": "system", "content": TEXTS["system"]}, {"role": "user", "content": TEXTS[name]}]


def person(patched: instructor.Instructor, name: str = "structured") -> Told:
    made = patched.chat.completions.create(
        model=TEXTS["model"], messages=asked(name), response_model=Person, max_retries=0
    )
    return made.model_dump()


def answer() -> Told:
    completion = by_tool.chat.completions.create(model=TEXTS["model"], messages=asked("answer"), response_model=None)
    return {"text": completion.choices[0].message.content}


def structured() -> Told:
    return person(by_tool)


def structured_native() -> Told:
    return person(by_schema)


def stream_structured() -> Told:
    """The model takes shape while it streams."""
    states = list(
        by_tool.chat.completions.create_partial(
            model=TEXTS["model"], messages=asked("structured"), response_model=Person
        )
    )
    assert len(states) > 1
    return states[-1].model_dump()


def asked_again() -> Told:
    """A first answer that does not pass is sent back with what is wrong with it."""
    tries = []

    class Checked(Person):
        @field_validator("born")
        @classmethod
        def second_try(cls, born: int, info: ValidationInfo) -> int:
            tries.append(born)
            if len(tries) == 1:
                raise ValueError("must be looked up again")
            return born

    by_schema.chat.completions.create(
        model=TEXTS["model"], messages=asked("structured"), response_model=Checked, max_retries=1
    )
    return {"tries": tries}


def asked_by_tool() -> Told:
    """Asked again with the call that did not pass; then with the messages that the program itself keeps."""
    tries = []

    class Checked(Person):
        @field_validator("born")
        @classmethod
        def second_try(cls, born: int) -> int:
            tries.append(born)
            if len(tries) == 1:
                raise ValueError("must be another year")
            return born

    messages = [{"role": "system", "content": TEXTS["systems"][0]}, {"role": "user", "content": TEXTS["asked_by_tool"]}]
    _, completion = by_tool.chat.completions.create_with_completion(
        model=TEXTS["model"], messages=messages, response_model=Checked, max_retries=1
    )
    message = completion.choices[0].message
    messages[0] = {"role": "system", "content": TEXTS["systems"][1]}
    messages.append(message.model_dump())
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "Noted."} for call in message.tool_calls]
    messages.append({"role": "user", "content": "And another one."})
    by_tool.chat.completions.create(model=TEXTS["model"], messages=messages, response_model=Person, max_retries=0)
    return {"tries": tries}


def failing(name: str) -> Told:
    try:
        by_tool.chat.completions.create(
            model=TEXTS["model"], messages=asked(name), response_model=Person, max_retries=0
        )
    except InstructorRetryException as raised:
        return error(raised)
    return {}


def bad_request() -> Told:
    return failing("bad_request")


def rate_limited() -> Told:
    return failing("rate_limited")


def structured_as_json() -> Told:
    return person(by_json, "structured_as_json")


run(
    "instructor",
    answer,
    structured,
    structured_native,
    stream_structured,
    asked_again,
    asked_by_tool,
    bad_request,
    rate_limited,
    structured_as_json,
)
