"""Which errors say that a continuation is gone, and which turns they are about."""

import pytest

from libs.schemas.bus.convert import ClientOptions, Converted
from libs.schemas.plan import ContinuedTurn, Continuity, StreamPlan
from libs.schemas.wire.errors import ErrorBody, UpstreamErrorBody
from libs.schemas.wire.output import Response
from libs.translate.answer.chain_check import NotChained
from libs.translate.errors import TranslationError
from services.edge.answering.stale_turns import Stale, find_stale, missing_parent, stale_turn_keys
from services.edge.errors import UpstreamRefused
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
        ("Neither xrs_12 nor rs_12x nor rs_12, of rs_1x.", ["e2"]),
        ("xrs_1 rs_12 rs_1_", ["e2"]),
        ("rs_12", ["e2"]),
        ("Of -rs_12 nothing, and of rs_12- too.", ["e1", "e2"]),
        ("rs_1 and rs_12 are gone.", ["e1", "e2"]),
        ("rs_1 is gone; xrs_1 is not.", ["e1"]),
        ("Previous response with id 'resp_p' not found.", ["e1", "e2"]),
        ("The encrypted content could not be verified.", ["e1", "e2"]),
        ("Unsupported parameter: previous_response_id", []),
    ],
)
def test_entries_are_those_that_the_upstream_names(message: str, entries: list[str]) -> None:
    assert stale_turn_keys(converted(TURNS), Stale(UpstreamErrorBody(message=message))) == entries


def test_ids_that_are_empty_are_named_by_no_message() -> None:
    turns = [ContinuedTurn(turn_key="e1", ids=[""]), ContinuedTurn(turn_key="e2", ids=["rs_12"])]
    assert stale_turn_keys(converted(turns), Stale(UpstreamErrorBody(message="No 'rs_12'."))) == ["e2"]
    assert stale_turn_keys(converted(turns), Stale(UpstreamErrorBody())) == ["e1", "e2"]


async def test_answer_that_ignored_its_parent_is_requested_again_until_there_was_output() -> None:
    exchange = Client("POST", "/").exchange()
    ignored = NotChained(Response(id="resp_1"), "resp_p", delta=False)
    for has_output in (True, False):
        stale = find_stale(converted(TURNS), exchange, ignored, has_output=has_output)
        assert stale is not None and stale.unchained
        assert stale.upstream_error.code == "upstream_not_chained"
        assert stale_turn_keys(converted(TURNS), stale) == []
    assert find_stale(converted([]), exchange, ignored, has_output=False) is None
    await exchange.start_stream()
    assert find_stale(converted(TURNS), exchange, ignored, has_output=False) is not None
    assert find_stale(converted(TURNS), exchange, ignored, has_output=True) is None


async def test_upstream_error_of_a_refusal_decides_and_not_its_translation() -> None:
    gone = UpstreamErrorBody(message="No.", code="previous_response_not_found")
    other = UpstreamErrorBody(message="No.", code="rate_limit_exceeded")
    for said, shown in ((gone, other), (other, gone)):
        body = ErrorBody(message=shown.message or "", code=str(shown.code))
        refused = UpstreamRefused(400, body, {}, said)
        stale = find_stale(converted(TURNS), Client("POST", "/").exchange(), refused, has_output=False)
        assert (stale and stale.upstream_error) == (gone if said is gone else None)


@pytest.mark.parametrize(
    ("message", "unchained"),
    [
        ("Unsupported parameter: 'previous_response_id'.", True),
        ("UNSUPPORTED PARAMETER: previous_response_id", True),
        ("Unsupported parameter: 'store'.", False),
        (None, False),
    ],
)
def test_wording_says_that_an_upstream_never_chains(message: str | None, unchained: bool) -> None:
    stale = Stale(UpstreamErrorBody(message=message))
    assert stale.unchained is unchained
    assert str(stale) == str(message)


def test_missing_parent_is_told_as_the_client_named_it() -> None:
    by_name = missing_parent(converted(TURNS), ClientOptions(conversation="c"), "x-parley-conversation").error
    by_id = missing_parent(converted(TURNS), ClientOptions(previous_response_id="resp_1"), "").error
    assert (by_name.param, by_name.code) == ("x-parley-conversation", "previous_response_not_found")
    assert "'c'" in by_name.message
    assert (by_id.param, by_id.message) == ("previous_response_id", "Previous response with id 'resp_1' not found.")
    assert by_id.code == "previous_response_not_found"
    found = missing_parent(converted(TURNS), ClientOptions(), "").error
    assert found.message == "Previous response with id 'resp_p' not found."


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
