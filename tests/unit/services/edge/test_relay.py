"""Whose path it is that Parley does not serve itself."""

import pytest

from libs.schemas.bus import ReadReply
from libs.schemas.subjects import READ
from services.edge.relay import RelayEndpoint
from tests.unit.services.edge.fakes import CALLER, Client, Stage


@pytest.mark.parametrize(
    ("path", "asked", "upstream"),
    [
        ("/responses/resp_1", ["resp_1"], "two"),
        ("/responses/resp_1/input_items?limit=1", ["resp_1"], "two"),
        ("/conversations/conv_1/items", ["conv_1"], "two"),
        ("/conversations", [], "one"),
        ("/files/file_1", [], "one"),
    ],
)
async def test_path_with_an_id_goes_to_its_owner(path: str, asked: list[str], upstream: str) -> None:
    stage = Stage({READ.name: ReadReply(upstream="two")})
    found = await RelayEndpoint(stage.edge)._upstream(Client("GET", path).exchange(), CALLER, path)
    assert found.name == upstream
    assert [request.upstream_id for _, request in stage.bus.asked] == asked
