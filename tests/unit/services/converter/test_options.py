"""What a request asks of Parley, by name, by header and by configuration."""

from libs.translate.continuity import deciding
from tests.unit.services.converter.fakes import (
    CHAINS,
    NAMED,
    ORIGINAL,
    REPLAYS,
    State,
    commit,
    converted,
    known,
    refused,
    sent,
    told,
    upstream,
)


async def test_upstream_that_chains_needs_no_name() -> None:
    reply = await converted(State(known()), up=CHAINS)
    assert told(reply) == ("chain", "matched", 1)
    assert sent(reply)["store"] is True


async def test_conversation_is_chained_for_its_name_alone_by_default() -> None:
    assert upstream().continuity == "auto"
    reply = await converted(State(known()), said=NAMED)
    assert (told(reply)[0], sent(reply)["store"], reply.plan.parent) == ("chain", True, "resp_1")
    reply = await converted(State(known(items=ORIGINAL)))
    assert (told(reply)[0], sent(reply)["store"], reply.plan.parent) == ("replay", False, None)


async def test_upstream_that_replays_only_gets_the_whole_history_of_a_named_conversation() -> None:
    reply = await converted(State(known(items=ORIGINAL)), said=NAMED, up=REPLAYS)
    assert told(reply) == ("replay", deciding.MATCHED, 1)
    assert sent(reply)["store"] is False and "previous_response_id" not in sent(reply)
    assert commit(reply).stored is False
    insisted = await converted(State(known()), said={**NAMED, "continuity": "chain"}, up=REPLAYS)
    assert told(insisted) == ("chain", "matched", 1)


async def test_upstream_that_ignored_a_parent_is_known_by_where_the_request_is_routed() -> None:
    """The edge names all that lately did; which of them serves a request is the converter's to know."""
    chosen = upstream(aliases={"m": "real"})
    for at, reason in ((("a", "real"), deciding.UNCHAINED), (("a", "m"), deciding.MATCHED)):
        state = State(known(items=ORIGINAL, model="real"))
        reply = await converted(state, said={**NAMED, "unchained_at": [("b", "real"), at]}, up=chosen)
        assert reply.continuity.reason == reason


async def test_delta_without_a_name_is_refused() -> None:
    for options in ({"said": {"delta": True}}, {"parley": {"history": "delta"}}):
        reply = await refused(State(), **options)
        assert (reply.status, reply.error.code) == (400, "previous_response_not_found")


async def test_alias_and_bridge_come_from_the_configuration() -> None:
    reply = await converted(State(), up=upstream(models=[], aliases={"m": "real"}))
    assert (reply.model, sent(reply)["model"], reply.model_requested) == ("real", "real", "m")
