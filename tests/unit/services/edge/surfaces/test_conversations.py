"""A caller sees and erases what Parley holds of its conversations."""

import json
from typing import Any

import pytest

from libs.runtime.health import Readiness
from libs.schemas.bus.state import ConversationInfo, DeleteReply, ListReply, ReadReply, StoredResponse
from libs.schemas.subjects import DELETE, LIST, READ
from services.edge.app import create_app
from tests.unit.services.edge.fakes import Client, Stage

PATH = "/v1/parley/conversations"
INFO = ConversationInfo(
    id="a/b",
    turns=2,
    model="m",
    upstream="one",
    stored=True,
    last_response_id="resp_2",
    created=1,
    updated=2,
    expires=3,
)


async def ask(stage: Stage, method: str, path: str, query: str = "") -> tuple[int, Any, Client]:
    client = Client(method, path, query)
    await create_app(stage.edge, Readiness())(client.scope, client.receive, client.send)
    return client.status, json.loads(client.body), client


async def test_list_is_openai_s() -> None:
    stage = Stage({LIST.name: ListReply(conversations=[INFO], has_more=True)})
    status, told, _ = await ask(stage, "GET", PATH, "limit=1&after=x%2Fy")
    assert status == 200
    assert (told["object"], told["has_more"], told["first_id"], told["last_id"]) == ("list", True, "a/b", "a/b")
    assert told["data"][0]["object"] == "parley.conversation"
    assert (stage.bus.asked[0][1].limit, stage.bus.asked[0][1].after) == (1, "x/y")


@pytest.mark.parametrize("limit", ["0", "101", "x", "-1"])
async def test_limit_out_of_range_is_refused(limit: str) -> None:
    status, told, _ = await ask(Stage({}), "GET", PATH, f"limit={limit}")
    assert (status, told["error"]["param"]) == (400, "limit")


async def test_one_is_found_by_any_name() -> None:
    stage = Stage({READ.name: ReadReply(conversation=INFO)})
    status, told, _ = await ask(stage, "GET", PATH + "/a/b")
    assert (status, told["id"], told["turns"]) == (200, "a/b", 2)
    assert stage.bus.asked[0][1].conversation == "a/b"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_unknown_one_is_not_found(method: str) -> None:
    status, told, _ = await ask(Stage({READ.name: ReadReply(), DELETE.name: DeleteReply()}), method, PATH + "/x")
    assert (status, told["error"]["code"]) == (404, "not_found")


async def test_one_whose_only_turn_waits_on_disk_is_deleted_all_the_same() -> None:
    stage = Stage({DELETE.name: DeleteReply()})
    stage.outbox.waiting = 1
    status, told, _ = await ask(stage, "DELETE", PATH + "/a/b")
    assert (status, told["deleted"]) == (200, True)
    assert stage.outbox.forgotten == ["a/b"]


async def test_deletion_reaches_the_upstreams_and_counts_what_failed() -> None:
    stored = [StoredResponse(upstream=name, response_id=f"resp_{k}") for k, name in enumerate(("one", "two", "gone"))]
    statuses = {"/responses/resp_0": 404, "/responses/resp_1": 500}
    stage = Stage({DELETE.name: DeleteReply(known=True, responses=stored)}, statuses=statuses)
    status, told, _ = await ask(stage, "DELETE", PATH + "/a/b")
    assert status == 200
    assert told == {"id": "a/b", "object": "parley.conversation.deleted", "deleted": True, "upstream_failures": 2}
    asked = [("one", "DELETE", "/responses/resp_0"), ("two", "DELETE", "/responses/resp_1")]
    assert sorted(stage.upstreams.asked) == asked


async def test_state_service_away_is_503_and_to_be_tried_again() -> None:
    status, told, client = await ask(Stage({}), "GET", PATH)
    assert (status, told["error"]["code"]) == (503, "state_unavailable")
    assert "retry-after" in client.headers


async def test_other_methods_are_refused_and_not_relayed() -> None:
    stage = Stage({})
    status, told, client = await ask(stage, "POST", PATH + "/x")
    assert (status, told["error"]["code"], client.headers["allow"]) == (405, "method_not_allowed", "GET, DELETE")
    assert stage.upstreams.asked == []
