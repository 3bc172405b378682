"""An answer that says that it does not follow what its request goes on from is none; one that says nothing is."""

import json
from typing import Any

import msgspec
import pytest

from libs.schemas.plan import CommitPlan, StreamPlan
from libs.schemas.wire.output import RESPONSE_DECODER
from libs.translate.answer.chain_check import NotChained, check_chained
from libs.translate.answer.completion import to_completion
from libs.translate.answer.stream import ChunkStream
from tests.support.answers import Json, added, completed, created, failed, feed, message, response, said, text

DIGEST = "0a"
COMMIT = CommitPlan(
    scope=DIGEST, asked=DIGEST, start=DIGEST, context=DIGEST, conversation="c", upstream="u", account=DIGEST, model="m"
)  # fmt: skip
PLAN = StreamPlan(stream=True, parent="resp_0", commit=msgspec.structs.replace(COMMIT, stored=True))
NEW = msgspec.structs.replace(PLAN, only_new=True)
CHAINED: list[Json] = [
    {},
    {"previous_response_id": "resp_0"},
    {"previous_response_id": "resp_0", "store": True},
    {"store": None},
    {"store": "false", "previous_response_id": 7},  # of no type that could be read
]
IGNORED: list[Json] = [
    {"previous_response_id": None},
    {"previous_response_id": "resp_7"},
    {"store": False},
    {"store": False, "previous_response_id": "resp_0"},
    {"store": True, "previous_response_id": None},
    {"created_at": "soon", "previous_response_id": None},  # odd elsewhere
]


@pytest.mark.parametrize("fields", CHAINED)
def test_what_is_absent_says_nothing(fields: Json) -> None:
    made = feed(ChunkStream(NEW), created(**fields), added(0, message()), text(0, "Hi"), completed(**fields))
    assert said(made, "content") == "Hi"
    assert to_completion(_read(**fields), NEW)


@pytest.mark.parametrize("fields", IGNORED)
def test_ignored_parent_ends_a_stream_before_its_output(fields: Json) -> None:
    for plan, status, code in ((PLAN, 502, "upstream_not_chained"), (NEW, 400, "previous_response_not_found")):
        stream = ChunkStream(plan)
        for _ in range(2):  # and always
            with pytest.raises(NotChained) as raised:
                stream.feed(created(**fields))
            error = raised.value
            assert (error.status, error.error.code) == (status, code)
            assert error.response is not None and error.response.id == "resp_1"


@pytest.mark.parametrize("fields", IGNORED)
def test_ignored_parent_that_only_the_end_tells_of_is_not_finished(fields: Json) -> None:
    stream = ChunkStream(PLAN)
    made = feed(stream, created(), added(0, message()), text(0, "Hi"))
    with pytest.raises(NotChained):
        stream.feed(completed(message("Hi"), **fields))
    assert said(made, "content") == "Hi" and stream.response is None
    with pytest.raises(NotChained):
        to_completion(_read(**fields), PLAN)


def test_failure_is_told_as_it_is() -> None:
    stream = ChunkStream(NEW)
    with pytest.raises(Exception, match=r"No\.") as raised:
        stream.feed(failed("server_error"))
    assert not isinstance(raised.value, NotChained)


def test_without_a_parent_nothing_is_looked_for() -> None:
    first = msgspec.structs.replace(PLAN, parent=None)
    for fields in (*CHAINED, *IGNORED):
        check_chained(_read(**fields), first)


def test_client_that_forbids_to_store_is_told_so_by_every_answer() -> None:
    for commit in (COMMIT, None):
        check_chained(_read(store=False, previous_response_id="resp_0"), msgspec.structs.replace(PLAN, commit=commit))


def test_what_was_ignored_is_the_upstreams_fault_unless_only_new_messages_were_sent() -> None:
    bodies = []
    for plan in (PLAN, NEW):
        with pytest.raises(NotChained) as raised:
            check_chained(_read(previous_response_id=None), plan)
        bodies.append((raised.value.status, msgspec.to_builtins(raised.value.error)))
    assert bodies == [
        (
            502,
            {
                "message": "The upstream ignored the answer that your request goes on from. Send the request again.",
                "type": "server_error",
                "param": None,
                "code": "upstream_not_chained",
            },
        ),
        (
            400,
            {
                "message": (
                    f"The upstream did not go on from the response '{NEW.parent}': it keeps none. "
                    "Send the whole history."
                ),
                "type": "invalid_request_error",
                "param": "previous_response_id",
                "code": "previous_response_not_found",
            },
        ),
    ]


def _read(**fields: Any) -> Any:
    return RESPONSE_DECODER.decode(json.dumps(response(message("Hi"), status="completed", **fields)).encode())
