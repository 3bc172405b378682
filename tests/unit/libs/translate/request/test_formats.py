from typing import Any

import msgspec
import pytest

from libs.schemas.config import Profile
from libs.translate.request.translating import parse, translate
from tests.support.chats import USER, Json, body, refusal, sent, system, translated, user

SCHEMA: Json = {"type": "object", "properties": {"b": {}, "a": {}}}


def _format(format_: Json) -> Json:
    made: Json = sent(response_format=format_)["text"]["format"]
    return made


def _json_schema(**fields: Any) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "tide", **fields}}


def test_a_plain_format_goes_as_it_is() -> None:
    assert _format({"type": "text"}) == {"type": "text"}


# -- any object -------------------------------------------------------------------------------------

ANY_OBJECT: Json = {"type": "json_schema", "name": "json_object", "schema": {"type": "object"}, "strict": False}
ASKED: Json = {"response_format": {"type": "json_object"}}


@pytest.mark.parametrize(
    ("model", "json_object", "as_schema"),
    [
        ("gpt-5", "auto", True),
        ("my-own-model", "auto", True),
        ("gpt-4-turbo", "auto", False),
        ("gpt-4-turbo", "schema", True),
        ("gpt-5", "keep", False),
    ],
)
def test_any_object_goes_up_as_a_schema_where_it_can(model: str, json_object: Any, as_schema: bool) -> None:
    options: Json = {"model": model, "profile": Profile(json_object=json_object), **ASKED}
    up = sent(user("As JSON."), **options)
    assert up["text"]["format"] == (ANY_OBJECT if as_schema else {"type": "json_object"})
    assert translated(user("As JSON."), **options).dropped == (["response_format"] if as_schema else [])


KEEP = Profile(json_object="keep")


def test_the_word_json_must_be_said_as_in_chat() -> None:
    error = refusal(user("Hi."), profile=KEEP, **ASKED)
    assert (error.error.param, error.error.code) == ("messages", None)
    assert error.error.message.startswith("'messages' must contain the word 'json'")
    assert sent(user("Hi."), **ASKED)["text"]["format"] == ANY_OBJECT


def test_the_word_json_is_not_hoisted_out_of_the_input() -> None:
    up = sent(system("Answer in JSON."), USER, profile=KEEP, **ASKED)
    assert "instructions" not in up and up["input"][0]["role"] == "system"
    assert sent(system("Answer in JSON."), USER, **ASKED)["instructions"] == "Answer in JSON."


def test_what_a_named_parent_said_may_have_held_the_word() -> None:
    parsed = parse(body(USER, **ASKED))
    made = translate(parsed, model="m", profile=KEEP, continues=True)
    assert msgspec.to_builtins(made.body)["text"]["format"] == {"type": "json_object"}


# -- a schema ---------------------------------------------------------------------------------------


def test_a_schema_is_flattened() -> None:
    assert _format(_json_schema(description="d", schema=SCHEMA, strict=True)) == {
        "type": "json_schema",
        "name": "tide",
        "description": "d",
        "schema": SCHEMA,
        "strict": True,
    }


def test_what_a_schema_leaves_open_is_said() -> None:
    assert _format(_json_schema()) == {"type": "json_schema", "name": "tide", "schema": {}, "strict": False}


def test_format_and_verbosity_share_one_object() -> None:
    up = sent(response_format={"type": "text"}, verbosity="high")
    assert up["text"] == {"format": {"type": "text"}, "verbosity": "high"}


def test_without_format_and_verbosity_nothing_is_said() -> None:
    assert "text" not in sent(response_format=None, verbosity=None)


@pytest.mark.parametrize(
    ("format_", "param"),
    [
        ({"type": "grammar", "grammar": "x"}, "response_format.type"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        (_json_schema(strict=True), "response_format.json_schema.schema"),
        ({"type": "json_schema", "json_schema": {}}, "response_format.json_schema.name"),
    ],
)
def test_another_format_is_refused_by_name(format_: Json, param: str) -> None:
    assert refusal(response_format=format_).error.param == param
