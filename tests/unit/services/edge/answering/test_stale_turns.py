"""Which errors say that a continuation is gone, and which turns they are about."""

import pytest

from libs.schemas.bus.convert import ClientOptions, Converted
from libs.schemas.plan import ContinuedTurn, Continuity, StreamPlan
from libs.schemas.wire.errors import ErrorBody, UpstreamErrorBody
from libs.translate.errors import TranslationError
from services.edge.answering.stale_turns import Stale, find_stale, missing_parent, stale_turn_keys
from services.edge.upstreams.not_chaining import REMEMBERED_SECONDS, Unchained
from tests.unit.services.edge.fakes import Client

TURNS = [ContinuedTurn(turn_key="e1", ids=["rs_1", "fc_1"]), ContinuedTurn(turn_key="e2", ids=["rs_12"])]
GONE = TranslationError(400, ErrorBody(message="Item with id 'rs_12' not found.", code=None))


def converted(replayed: list[ContinuedTurn]) -> Converted:
    plan = StreamPlan(stream=False, continued=replayed)
    return Converted(
        upstream="one", model="m", body=b"{}", plan=plan, continuity=Continuity(reason="matched"),
        previous_response_id="resp_p",
    )  # fmt: skip


async def test_what_was_continued_and_is_gone_is_stale_before_any_output() -> None:
    exchange = Client("POST", "/").exchange()
    assert find_stale(converted(TURNS), exchange, GONE, has_output=False) is not None
    assert find_stale(converted([]), exchange, GONE, has_output=False) is None  # the client's own
    assert (
        find_stale(converted(TURNS), exchange, TranslationError(400, ErrorBody(message="Bad.")), has_output=False)
        is None
    )
    await exchange.start_stream()
    assert find_stale(converted(TURNS), exchange, GONE, has_output=False) is None


@pytest.mark.parametrize(
    ("message", "entries"),
    [
        ("Item with id 'rs_12' not found.", ["e2"]),
        ("Item 'fc_1' was provided without its required 'reasoning' item: 'rs_1'.", ["e1"]),
        ("Item with id 'xrs_12' not found, nor rs_12.", ["e2"]),
        ("Item with id 'rs_12-x' not found.", ["e1", "e2"]),
        ("Previous response with id 'resp_p' not found.", ["e1", "e2"]),
        ("The encrypted content could not be verified.", ["e1", "e2"]),
        ("Unsupported parameter: previous_response_id", []),
    ],
)
def test_entries_are_those_that_the_upstream_names(message: str, entries: list[str]) -> None:
    assert stale_turn_keys(converted(TURNS), Stale(UpstreamErrorBody(message=message))) == entries


def test_missing_parent_is_told_as_the_client_named_it() -> None:
    by_name = missing_parent(converted(TURNS), ClientOptions(conversation="c"), "x-parley-conversation").error
    by_id = missing_parent(converted(TURNS), ClientOptions(previous_response_id="resp_1"), "").error
    assert (by_name.param, by_name.code) == ("x-parley-conversation", "previous_response_not_found")
    assert (by_id.param, by_id.message) == ("previous_response_id", "Previous response with id 'resp_1' not found.")


def test_upstream_that_cannot_chain_is_remembered_for_a_while() -> None:
    now = 0.0
    unchained = Unchained(lambda: now)
    one = ("one", "account", "model")
    unchained.note(one)
    others = [("two", "account", "model"), ("one", "other", "model"), ("one", "account", "other")]
    for other in others:
        unchained.note(other)
    assert unchained.known({"one": "account", "two": "other"}) == [("one", "model"), ("one", "other")]
    now = REMEMBERED_SECONDS
    assert unchained.known({"one": "account"}) == []
