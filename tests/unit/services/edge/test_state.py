"""What the edge asks of the state service, and that it goes on without it."""

import asyncio
import json
import time

from libs.runtime.call import BusContext
from libs.runtime.health import Readiness
from libs.schemas.bus.state import CommitReply, DeleteReply, DeleteRequest, StateStatus
from libs.schemas.subjects import COMMIT, DELETE, STATE_STATUS
from services.edge import state
from services.edge.surfaces.status import Status
from tests.unit.services.edge.disk.test_outbox import commit
from tests.unit.services.edge.fakes import Stage

COMMITTED = commit()


async def test_entries_are_deleted_and_none_is_no_question() -> None:
    stage = Stage({DELETE.name: DeleteReply()})
    state.delete_turns(stage.served(), [])
    state.delete_turns(stage.served(), ["e"])
    await asyncio.gather(*stage.edge.background)
    assert stage.bus.asked == [(DELETE.name, DeleteRequest(turn_keys=["e"]))]


async def test_state_report_is_cached_and_tells_when_nobody_answers() -> None:
    reply = StateStatus(
        store="jetstream", entries=3, link_ttl_seconds=1, items_ttl_seconds=1, max_items_bytes=1, max_tenant_turns=1,
        hits=3, misses=1,
    )  # fmt: skip
    stage = Stage({STATE_STATUS.name: reply})
    status = Status(stage.edge, Readiness())
    report = await status._state_report()
    assert (report["available"], report["entries"], report["hit_rate"]) == (True, 3, 0.75)
    json.dumps(report)
    assert await status._state_report() is report
    assert len(stage.bus.asked) == 1
    assert await Status(Stage({}).edge, Readiness())._state_report() == {"available": False}


async def test_what_did_not_get_through_is_kept_before_the_end_of_the_answer() -> None:
    stage = Stage({})
    await state.commit(stage.edge, COMMITTED, BusContext())
    assert stage.outbox.kept == [(COMMIT.name, COMMITTED)]
    in_time = Stage({COMMIT.name: CommitReply()})
    await state.commit(in_time.edge, COMMITTED, BusContext())
    assert in_time.outbox.kept == []


async def test_commit_that_hangs_is_kept_while_it_goes_on() -> None:
    stage, answer = Stage({}), asyncio.Event()

    async def hangs(*_: object) -> CommitReply:
        await answer.wait()
        return CommitReply()

    stage.bus.call = hangs  # type: ignore[method-assign,assignment]
    started = time.monotonic()
    await state.commit(stage.edge, COMMITTED, BusContext())
    assert 0.2 < time.monotonic() - started < 1.0
    assert stage.outbox.kept == [(COMMIT.name, COMMITTED)]
    assert len(stage.edge.background) == 1
    answer.set()
    await asyncio.gather(*stage.edge.background)
