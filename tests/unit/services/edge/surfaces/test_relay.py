"""Whose path it is that Parley does not serve itself, and what passes where nobody shares a key."""

from typing import Any

import msgspec
import pytest

from libs.schemas.bus.state import ReadReply
from libs.schemas.config import Upstream
from libs.schemas.subjects import READ
from libs.translate.errors import TranslationError
from services.edge.surfaces.relay import RelayEndpoint
from tests.unit.services.edge.fakes import Client, Stage

CLIENT = [
    Upstream(name="one", base_url="http://1", auth="client"),
    Upstream(name="two", base_url="http://2", auth="client"),
]
MIXED = [CLIENT[0], Upstream(name="two", base_url="http://2", key_env="K")]
OWN = [msgspec.structs.replace(upstream, auth="key", key_env="K") for upstream in CLIENT]


async def relay(stage: Stage, method: str, path: str, body: bytes = b"") -> Client:
    path, _, query = path.partition("?")
    headers = {"content_length": str(len(body))} if body else {}
    client = Client(method, f"/v1{path}", query, body, **headers)
    await RelayEndpoint(stage.edge)(client.exchange())
    return client


@pytest.mark.parametrize(
    ("path", "asked", "upstream"),
    [
        ("/responses/resp_1", ["resp_1"], "two"),
        ("/responses/resp_1/input_items?limit=1", ["resp_1"], "two"),
        ("/responses/resp_1/from/the/future", ["resp_1"], "two"),
        ("/conversations/conv_1/items", ["conversation:conv_1"], "two"),
        ("/conversations", [], "one"),
        ("/files/file_1", [], "one"),
        ("/organization/users", [], "one"),
    ],
)
async def test_path_with_an_id_goes_to_its_owner(path: str, asked: list[str], upstream: str) -> None:
    stage = Stage({READ.name: ReadReply(owners=dict.fromkeys(asked, "two"))}, upstreams=CLIENT)
    await relay(stage, "GET", path)
    assert stage.upstreams.asked == [(upstream, "GET", path)]
    assert [request.upstream_ids for _, request in stage.bus.asked] == ([asked] if asked else [])


@pytest.mark.parametrize("replies", [{}, {READ.name: ReadReply(owners={})}, {READ.name: ReadReply()}])
async def test_unknown_ids_go_to_the_first_where_no_key_is_shared(replies: dict[str, Any]) -> None:
    stage = Stage(replies, upstreams=CLIENT)
    await relay(stage, "GET", "/responses/resp_1")
    assert stage.upstreams.asked == [("one", "GET", "/responses/resp_1")]


async def test_single_upstream_without_a_shared_key_needs_no_look_up() -> None:
    stage = Stage({}, upstreams=CLIENT[:1])
    await relay(stage, "DELETE", "/responses/resp_1")
    assert stage.bus.asked == [] and len(stage.upstreams.asked) == 1


@pytest.mark.parametrize(
    ("upstreams", "owner", "method", "path", "outcome"),
    [
        (OWN, {"resp_1": "two"}, "GET", "/responses/resp_1", "two"),
        (OWN, {}, "GET", "/responses/resp_1", 404),
        (OWN, {"resp_1": "gone"}, "GET", "/responses/resp_1", 404),
        (OWN, None, "GET", "/responses/resp_1", 503),
        (OWN, {"resp_1": "two"}, "GET", "/responses/resp_1/from/the/future", 403),
        (OWN, {"batch:batch_1": "one"}, "GET", "/batches/batch_1", "one"),
        (OWN, {"batch:batch_1": "two"}, "GET", "/batches/batch_1", 404),
        (OWN, {"batch_1": "one"}, "GET", "/batches/batch_1", 404),
        (OWN, {}, "GET", "/files/file_1", "one"),
        (OWN, {}, "GET", "/files", 403),
        # The first upstream gets the caller's own bearer: what is unknown, and every other path, is its business.
        (MIXED, {"resp_1": "two"}, "GET", "/responses/resp_1", "two"),
        (MIXED, {"resp_1": "two"}, "GET", "/responses/resp_1/from/the/future", 403),
        (MIXED, {}, "GET", "/responses/resp_1", "one"),
        (MIXED, None, "GET", "/responses/resp_1", 503),
        (MIXED, None, "GET", "/files", "one"),
        (MIXED, None, "GET", "/batches/batch_1", "one"),
        (MIXED, None, "POST", "/never/heard/of", "one"),
    ],
)
async def test_who_gets_what_where_a_key_is_shared(
    upstreams: list[Upstream], owner: dict[str, str] | None, method: str, path: str, outcome: str | int
) -> None:
    stage = Stage({} if owner is None else {READ.name: ReadReply(owners=owner)}, upstreams=upstreams)
    if isinstance(outcome, str):
        await relay(stage, method, path)
        assert stage.upstreams.asked == [(outcome, method, path)]
        return
    with pytest.raises(TranslationError) as caught:
        await relay(stage, method, path)
    assert caught.value.status == outcome
    assert stage.upstreams.asked == []


async def test_request_that_names_no_id_needs_no_look_up() -> None:
    stage = Stage({}, upstreams=OWN)
    for method, path, body in (
        ("POST", "/embeddings", b'{"input":"x","model":"m"}'),
        ("POST", "/responses/input_tokens", b'{"input":"x","model":"m"}'),
        ("POST", "/files", b"--x"),
        ("GET", "/files/file_1/content", b""),
    ):
        await relay(stage, method, path, body)
    assert stage.bus.asked == [] and len(stage.upstreams.asked) == 4


async def test_replica_of_the_release_before_is_asked_for_one_id_at_a_time() -> None:
    stage = Stage({READ.name: ReadReply(upstream="two")}, upstreams=OWN)
    await relay(stage, "GET", "/responses/resp_1")
    assert stage.upstreams.asked == [("two", "GET", "/responses/resp_1")]
    stage = Stage({READ.name: ReadReply()}, upstreams=OWN)
    with pytest.raises(TranslationError) as caught:
        await relay(stage, "GET", "/responses/resp_1")
    assert caught.value.status == 404
