import json
from typing import Any, get_args

import msgspec
import pytest
from openai.types.responses import ResponseStreamEvent

from libs.schemas.wire import events
from libs.schemas.wire.events import DECODERS, SILENT, TextDelta, UnknownEvent, decode_event
from libs.schemas.wire.output import Response
from libs.schemas.wire.parts import TokenLogprob, decode_logprobs

TEXT = {"type": "response.output_text.delta", "output_index": 0, "content_index": 1, "delta": "a"}


def _decode(name: str, data: dict[str, Any]) -> events.StreamEvent:
    return decode_event(name.encode(), json.dumps(data).encode())


def test_an_event_is_read_by_its_name() -> None:
    assert _decode(TEXT["type"], TEXT) == TextDelta(0, 1, "a")  # type: ignore[arg-type]


def test_an_event_without_name_is_read_by_its_type() -> None:
    assert _decode("", TEXT) == TextDelta(0, 1, "a")


def test_an_event_without_type_is_read_by_its_name() -> None:
    untyped = {key: value for key, value in TEXT.items() if key != "type"}
    assert _decode("response.output_text.delta", untyped) == TextDelta(0, 1, "a")


def test_fields_that_are_new_to_us_are_passed_over() -> None:
    assert _decode("", {**TEXT, "obfuscation": "x", "item_id": "msg_1", "new": None}) == TextDelta(0, 1, "a")


def test_log_probabilities_are_kept_for_whom_asks_for_them() -> None:
    event = _decode("", {**TEXT, "logprobs": [{"token": "a"}]})
    assert isinstance(event, TextDelta) and decode_logprobs(event.logprobs) == [TokenLogprob("a")]


@pytest.mark.parametrize("name", ["response.telepathy.delta", ""])
def test_an_event_of_a_new_type_is_unknown(name: str) -> None:
    data = {"type": "response.telepathy.delta", "delta": {"deep": [1]}}
    assert _decode(name, data) == UnknownEvent("response.telepathy.delta")


def test_data_that_nobody_reads_is_not_even_parsed() -> None:
    assert decode_event(b"response.web_search_call.searching", b"not JSON") == UnknownEvent(
        "response.web_search_call.searching"
    )
    assert isinstance(decode_event(b"\xff", b""), UnknownEvent)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'{"type":7}'])
def test_data_without_a_name_that_is_no_event_is_an_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_event(b"", data)


def test_a_malformed_event_that_matters_is_an_error() -> None:
    with pytest.raises(msgspec.DecodeError):
        _decode("", {**TEXT, "delta": 7})


def test_every_event_we_read_has_a_decoder_under_its_own_name() -> None:
    structs = [
        found for found in vars(events).values() if isinstance(found, type) and issubclass(found, msgspec.Struct)
    ]
    tags = [struct.__struct_config__.tag for struct in structs if struct.__struct_config__.tag_field == "type"]
    assert {str(tag).encode() for tag in tags if tag != "Event"} == set(DECODERS)


def test_items_stay_as_they_came() -> None:
    item = b'{"type":"telepathy",  "x":[1 ,2]}'
    data = b'{"type":"response.output_item.done","output_index":4,"item":%b}' % item
    event = decode_event(b"", data)
    assert isinstance(event, events.OutputItemDone) and bytes(event.item) == item


def test_created_at_may_be_a_fraction() -> None:
    event = _decode("response.created", {"response": {"id": "resp_1", "created_at": 17.5, "service_tier": None}})
    assert isinstance(event, events.ResponseCreated) and event.response.created_at == 17.5


@pytest.mark.parametrize(
    "data",
    [
        {"code": "c", "message": "m", "param": None},
        {"error": {"code": "c", "message": "m", "type": "t", "param": None, "headers": {}}},
        {"error": {"code": 7}},
        {"error": "m"},
        {},
    ],
)
def test_an_error_event_is_read_in_every_shape(data: dict[str, Any]) -> None:
    assert isinstance(_decode("", {"type": "error", **data}), events.ErrorEvent)


# -- a response that is odd -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "member", ["id", "created_at", "model", "output", "usage", "error", "service_tier", "metadata"]
)
@pytest.mark.parametrize("name", ["response.created", "response.completed", "response.incomplete", "response.failed"])
def test_no_null_makes_a_response_unreadable(name: str, member: str) -> None:
    whole = {"id": "resp_1", "created_at": 1, "model": "m", "output": [{"type": "message"}], "usage": {}}
    event = _decode(name, {"type": name, "response": {**whole, member: None}})
    response: Response = event.response  # type: ignore[union-attr]
    assert (response.output or member == "output") and (response.id or member == "id")


@pytest.mark.parametrize(
    "odd", [{"created_at": "today"}, {"usage": {"input_tokens": None, "output_tokens": 2}}, {"metadata": {"a": 1}}]
)
def test_no_detail_costs_the_answer(odd: dict[str, Any]) -> None:
    event = _decode("response.completed", {"response": {"id": "resp_1", "output": [{"type": "message"}], **odd}})
    assert isinstance(event, events.ResponseCompleted) and len(event.response.output) == 1
    assert event.response.usage is None or event.response.usage.output_tokens == 2


def test_an_output_that_is_none_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        _decode("response.completed", {"response": {"id": "resp_1", "output": 7}})


def test_a_response_may_stand_in_the_event_itself() -> None:
    event = _decode("response.completed", {"id": "resp_1", "status": "completed", "output": []})
    assert isinstance(event, events.ResponseCompleted) and event.response.id == "resp_1"


# -- the table (docs/mapping.md#stream-events) ------------------------------------------------------


def _official() -> set[str]:
    """The types of all events of the official SDK."""
    union = get_args(ResponseStreamEvent)[0]
    return {get_args(member.model_fields["type"].annotation)[0] for member in get_args(union)}


def test_every_event_of_the_official_sdk_is_known() -> None:
    official = _official()
    assert len(official) >= 59
    read = {name.decode() for name in DECODERS}
    assert official - read - SILENT == set()
    assert not read & SILENT
    assert read - official == {"keepalive", "response.reasoning.delta", "response.reasoning.done"}
    assert {name for name in SILENT - official if not name.startswith("response.steer.")} == set()
