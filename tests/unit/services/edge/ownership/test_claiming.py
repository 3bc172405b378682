"""What answers make is claimed as it comes, and known here until the state service has it."""

import asyncio
import json
from typing import Any

import pytest

from libs.schemas.bus.state import ClaimReply, ClaimRequest, ReadReply, ReleaseReply, ReleaseRequest
from libs.schemas.config import Upstream
from libs.schemas.subjects import CLAIM, READ, RELEASE
from libs.schemas.wire.output import Response
from services.edge.answering.chat_tap import ChatBodyTap, ChatStreamTap
from services.edge.answering.response_tap import BodyTap, StreamTap
from services.edge.ownership import owners
from services.edge.ownership.claiming import IdClaims, id_claims, release
from services.edge.pending_claims import SIZE, Claims
from tests.unit.services.edge.answering.test_chat_tap import chunk
from tests.unit.services.edge.answering.test_response_tap import RESPONSE, call, frame
from tests.unit.services.edge.fakes import Stage

FIRST = Upstream(name="one", base_url="http://1", key_env="K", shared_ids=["file-shared*"])
SECOND = Upstream(name="two", base_url="http://2", auth="client")
ITEMS = [{"type": "message", "id": "msg_1"}, {"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1"}]
WHOLE = {**RESPONSE, "output": ITEMS}


def stage_of(replies: dict[str, Any] | None = None) -> Stage:
    return Stage(
        {CLAIM.name: ClaimReply(), RELEASE.name: ReleaseReply()} if replies is None else replies,
        upstreams=[FIRST, SECOND],
    )


def of(stage: Stage, upstream: Upstream = FIRST, *, stored: bool = True) -> IdClaims:
    return id_claims(stage.served(), upstream, stored=stored)


def claimed(stage: Stage) -> list[set[str]]:
    claims = [request for _, request in stage.bus.asked if isinstance(request, ClaimRequest)]
    return [{claim.upstream_id, *claim.more} for claim in claims]


async def test_whole_response_is_claimed_with_its_items_in_one_message() -> None:
    stage = stage_of()
    makes = of(stage)
    body = BodyTap(call(stage, streamed=False), makes)
    body.feed(json.dumps(WHOLE).encode())
    assert claimed(stage) == []
    body.finish()
    await makes.claimed()
    assert claimed(stage) == [{"resp_1", "item:msg_1", "item:ci_1", "container:cntr_1"}]


async def test_streamed_response_is_claimed_at_once_and_its_items_at_the_end() -> None:
    stage = stage_of()
    makes = of(stage)
    stream = StreamTap(call(stage), makes)
    stream.feed(frame("response.created", response={**RESPONSE, "output": []}))
    assert makes.fresh
    await makes.gone()
    assert not makes.fresh and claimed(stage) == [{"resp_1"}]
    stream.feed(frame("response.output_text.delta", delta="x"))
    assert not makes.fresh
    stream.feed(frame("response.completed", response=WHOLE))
    assert makes.fresh
    await makes.gone()
    assert claimed(stage) == [{"resp_1"}, {"item:msg_1", "item:ci_1", "container:cntr_1"}]


async def test_completion_and_what_is_spoken_in_it_are_claimed() -> None:
    stage = stage_of()
    makes = of(stage)
    body = ChatBodyTap(call(stage, streamed=False), makes)
    body.feed(json.dumps({"id": "chatcmpl-1", "choices": [{"message": {"audio": {"id": "audio_1"}}}]}).encode())
    body.finish()
    stream = ChatStreamTap(call(stage), makes)
    for delta in ({"role": "assistant"}, {"content": "x"}, {"audio": {"id": "audio_2"}}, {"audio": {"data": "AA"}}):
        stream.feed(chunk(id="chatcmpl-2", choices=[{"delta": delta}]))
    stream.finish()
    await makes.claimed()
    assert claimed(stage) == [{"completion:chatcmpl-1", "audio:audio_1"}, {"completion:chatcmpl-2"}, {"audio:audio_2"}]


@pytest.mark.parametrize(
    ("upstream", "stored", "expected"),
    [
        (FIRST, True, {"resp_1", "conversation:conv_1", "file:file-1", "batch:batch_1"}),
        (FIRST, False, None),
        (SECOND, True, {"resp_1", "conversation:conv_1"}),  # to be found again, for it is not the first
    ],
)
async def test_what_is_claimed_where(upstream: Upstream, stored: bool, expected: set[str] | None) -> None:
    stage = stage_of()
    makes = of(stage, upstream, stored=stored)
    makes.claim(
        [
            ("response", "resp_1"),
            ("conversation", "conv_1"),
            ("file", "file-1"),
            ("file", "file-shared1"),
            ("batch", "batch_1"),
            ("item", None),
            ("item", 7),
            ("item", "x" * 600),
            ("item", "\ud800"),
        ]
    )
    await makes.claimed()
    assert claimed(stage) == ([] if expected is None else [expected])
    assert makes.wanted == (expected is not None)


async def test_id_that_the_request_gave_is_not_made_by_the_answer_that_echoes_it() -> None:
    stage = stage_of()
    makes = id_claims(stage.served(), FIRST, given=frozenset({"msg_1", "resp_1"}))
    makes.claim([("response", "resp_1"), ("item", "msg_1"), ("item", "msg_2")])
    await makes.claimed()
    assert claimed(stage) == [{"resp_1", "item:msg_2"}]


async def test_many_ids_take_several_messages() -> None:
    stage = stage_of()
    makes = of(stage)
    makes.claim([("item", f"msg_{n}") for n in range(600)])
    await makes.claimed()
    assert [len(names) for names in claimed(stage)] == [256, 256, 88]
    endless = of(stage_of())
    endless.claim([("response", "resp_1"), *(("item", f"msg_{n}") for n in range(5000))])
    await endless.claimed()
    assert endless._claimed == {"resp_1", *(f"item:msg_{n}" for n in range(3977, 5000))}


async def test_claim_that_does_not_get_through_is_kept_and_known_here() -> None:
    stage = stage_of({READ.name: ReadReply(owners={})})
    makes = of(stage)
    makes.response(Response(id="resp_1"))
    await makes.claimed()
    assert [name for name, _ in stage.outbox.kept] == [CLAIM.name]
    served = stage.served()
    assert (await owners.find(served, ["resp_1"]))["resp_1"].name == "one"
    release(served, "response", "resp_1")
    assert await owners.find(served, ["resp_1"]) == {}


async def test_release_is_sent() -> None:
    stage = stage_of()
    release(stage.served(), "conversation", "conv_1")
    await asyncio.gather(*stage.edge.background)
    assert stage.bus.asked == [(RELEASE.name, ReleaseRequest(upstream_id="conversation:conv_1"))]


def test_claims_under_way_are_bounded_and_each_tenant_s_own() -> None:
    claims = Claims()
    claims.note("a", (f"id_{n}" for n in range(SIZE + 1)), "one")
    assert claims.get("a", "id_0") is None
    assert claims.get("a", f"id_{SIZE}") == "one"
    assert claims.get("b", f"id_{SIZE}") is None
    claims.forget("a", [f"id_{SIZE}", "never"])
    assert claims.get("a", f"id_{SIZE}") is None
