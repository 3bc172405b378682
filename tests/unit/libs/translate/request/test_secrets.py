import contextlib
import json
import time
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.translate.errors import InvalidRequest
from libs.translate.lift import Skeleton, lift, splice
from libs.translate.request import secrets as hide_module
from libs.translate.request.secrets import hide
from tests.unit.libs.translate.test_lift import DATA_URL, NONCE

SECRET = "s3cr3t"
MCP = {
    "type": "mcp",
    "server_label": "s",
    "authorization": 'to\\ken"1',
    "headers": {"X-Key": "k{1}", "Y": "é", "Z": "", "N": None},
}


def _hidden(body: bytes | str) -> Skeleton:
    return hide(lift(body.encode() if isinstance(body, str) else body, NONCE))


def _back(bones: Skeleton) -> Any:
    return json.loads(b"".join(splice(bones.body, bones)))


def test_secrets_of_mcp_tools_are_hidden_and_leave_nothing_behind() -> None:
    body = json.dumps({"tools": [MCP, {"type": "mcp", "headers": {}, "authorization": "second"}], "model": "m"})
    bones = _hidden(body)
    for secret in ("ken", "k{1}", "u00e9", "second"):
        assert secret in body and secret.encode() not in bones.body
    assert [(one.sha256, one.start) for one in bones.lifted] == [("", "")] * 4
    assert json.loads(bones.body)["tools"][0]["server_label"] == "s"
    assert _back(bones) == json.loads(body)


def test_a_secret_leaves_its_place_and_its_length() -> None:
    body = json.dumps({"tools": [{"type": "mcp", "authorization": "first", "headers": {"a": "second!"}}]})
    bones = _hidden(body)
    (tool,) = json.loads(bones.body)["tools"]
    assert [one.placeholder for one in bones.lifted] == [tool["authorization"], tool["headers"]["a"]]
    assert [one.length for one in bones.lifted] == [len("first"), len("second!")]


def test_secrets_are_hidden_beside_media() -> None:
    image = {"type": "image_url", "image_url": {"url": DATA_URL}}
    body = json.dumps({"messages": [{"role": "user", "content": [image]}], "tools": [MCP]})
    bones = _hidden(body)
    assert bones.lifted[0].length == len(DATA_URL) and bones.lifted[0].sha256
    assert len(bones.lifted) == 4 and b"k{1}" not in bones.body
    assert _back(bones) == json.loads(body)


def test_media_among_secrets_tells_nothing_of_itself() -> None:
    body = json.dumps({"tools": [{"type": "mcp", "headers": {"image_url": DATA_URL}}]})
    (lifted,) = lift(body.encode(), NONCE).lifted
    assert lifted.start
    bones = _hidden(body)
    (lifted,) = bones.lifted
    assert (lifted.sha256, lifted.start, lifted.length) == ("", "", len(DATA_URL))
    assert lifted.placeholder == json.loads(bones.body)["tools"][0]["headers"]["image_url"]
    assert _back(bones) == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        '{"tools":[{"type":"m\\u0063p","authorization":"s3cr3t"}]}',
        '{"tools":[{"typ\\u0065":"mcp","auth\\u006frization":"s3cr3t"}]}',
        '{"t\\u006fols":[{"type":"mcp","h\\u0065aders":{"a":"s3cr3t"}}]}',
        '{"tools":[{"authorization":"s3cr3t","headers":{"a":"s3cr3t"},"type":"mcp"}]}',
        '{"tools":[{"type":"mcp","authorization":"s3cr3t","authorization":"s3cr3t"}]}',
        '{"tools":[{"type":"mcp","headers":{"a":"s3cr3t","a":"s3cr3t","\\u0061":"x"}}]}',
        '{"tools":[{"type":"mcp","headers":{"a":"s3cr3t"},"headers":{}}]}',
        '{"tools":[{"type":"mcp","authorization":"s3cr3t","authorization":null}]}',
        '{"tools":[{"type":"mcp","authorization":"s3cr3t","type":"function"}]}',
        '{ "tools" : [ { "type" : "mcp" , "authorization"\n:\t"s3cr3t" } ] , "a" : 1 }',
        '{"tools":[{"type":"namespace","tools":[{"type":"mcp","authorization":"s3cr3t"}]}]}',
        '{"messages":[{"tools":[{"type":"mcp"}]}],"tools":[{"type":"mcp","authorization":"s3cr3t"}]}',
        '{"tools":[{"type":"mcp","authorization":"\\"s3cr3t"}],"b":"\\"tools\\":[]"}',
        '{"tools":null,"tools":[{"type":"mcp","authorization":"s3cr3t"}]}',
    ],
)
def test_no_way_of_writing_keeps_a_secret_in_the_body(body: str) -> None:
    bones = _hidden(body)
    assert SECRET.encode() not in bones.body
    assert SECRET in str(_back(bones)) or json.loads(body) == _back(bones)
    assert all((one.sha256, one.start) == ("", "") for one in bones.lifted)


@pytest.mark.parametrize(
    "body",
    [
        '{"tools":[{"type":"mcp","authorization":"s3cr3t"}],"tools":[]}',
        '{"tools":[{"type":"mcp","authorization":"s3cr3t"}],"t\\u006fols":null}',
        '{"tools":[{"type":"mcp","authorization":"s3cr3t"}],"tools":[{"type":"mcp","authorization":"s3cr3t"}]}',
        '{"tools":[{"type":"mcp","authorization":{"token":"s3cr3t"}}]}',
        '{"tools":[{"type":"mcp","authorization":["s3cr3t"]}]}',
        '{"tools":[{"type":"mcp","authorization":17}]}',
        '{"tools":[{"type":"mcp","headers":"s3cr3t"}]}',
        '{"tools":[{"type":"mcp","headers":["s3cr3t"]}]}',
        '{"tools":[{"type":"mcp","headers":{"a":{"b":"s3cr3t"}}}]}',
        '{"tools":[{"type":"mcp","headers":{"a":["s3cr3t"]}}]}',
        '{"tools":[{"type":"mcp","headers":{"a":17}}]}',
        '{"tools":{"type":"mcp","authorization":"s3cr3t"}}',
        '{"tools":[[{"type":"mcp","authorization":"s3cr3t"}]]}',
        '{"tools":["{\\"type\\":\\"mcp\\",\\"authorization\\":\\"s3cr3t\\"}"]}',
        '{"tools":[{"type":"mcp","authorization":"s3cr3t"}]',
        '{"tools":[{"type":"mcp","authorization":"s3cr3t]}',
        '{"tools":[{"type":"mcp","authorization":"\\ud800"}]}',
        '[{"tools":[{"type":"mcp","authorization":"s3cr3t"}]}]',
        '{"model":"x","type":"mcp",' + '"headers":{\\" ' * 100,
        '{"tools":' + '[{"type":"mcp","tools":' * 5000,
    ],
)
def test_what_cannot_be_read_is_refused(body: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        _hidden(body)
    assert refused.value.status == 400
    assert SECRET not in (refused.value.error.message or "")


def test_a_refusal_names_its_place() -> None:
    with pytest.raises(InvalidRequest) as refused:
        _hidden('{"tools":[{"type":"function"},{"type":"mcp","headers":{"a":1}}]}')
    assert (refused.value.error.param, refused.value.error.code) == ("tools[1].headers", "invalid_type")


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": json.dumps({"tools": [MCP], "authorization": "x"})}]},
        {"messages": [{"role": "user", "content": "Schöne Grüße, mcp"}], "tools": []},
        {"authorization": "x", "headers": {"a": "b"}, "type": "mcp"},
        {"tools": [{"type": "mcp", "server_url": "https://a", "headers": None}]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"headers": {}}}}}]},
        {"messages": [{"role": "user", "content": "mcp"}], "tools": [{"type": "function"}]},
    ],
)
def test_a_body_without_secrets_stays_as_it_is(fields: dict[str, Any]) -> None:
    body = json.dumps({"model": "m", **fields}, indent=1).encode()
    assert _hidden(body) == Skeleton(body, NONCE, [], [])


def test_without_an_mcp_tool_nothing_is_looked_for() -> None:
    body = b'{"tools":[{"authorization":"x","headers":{"a":["b"]}}]'
    assert _hidden(body).body == body


VALUES = st.text(max_size=6) | st.sampled_from(["mcp", '"', "\\", "{", "authorization", "é"])
TOOL = st.dictionaries(
    st.sampled_from(["type", "authorization", "server_label", "x"]), VALUES.map(lambda text: text + SECRET)
) | st.dictionaries(st.just("headers"), st.dictionaries(VALUES, VALUES.map(lambda text: SECRET + text)))


@given(st.lists(TOOL, max_size=4), st.booleans(), st.sampled_from([None, 1]))
def test_splice_undoes_hide(tools: list[dict[str, Any]], ascii_only: bool, indent: int | None) -> None:
    told = {"model": "mcp", "tools": tools}
    bones = _hidden(json.dumps(told, ensure_ascii=ascii_only, indent=indent).encode())
    assert _back(bones) == told
    for tool in json.loads(bones.body)["tools"]:
        for value in (tool.get("authorization", ""), *tool.get("headers", {}).values()):
            assert SECRET not in value


MEGABYTE = 1024 * 1024


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"x","type":"mcp",' + b'"headers":{\\" ' * (MEGABYTE // 14),
        b'{"model":"x","type":"mcp","headers":{' + b"a" * MEGABYTE,
        b'{"model":"x","type":"mcp","headers":{' + b'"a":"b",' * (MEGABYTE // 8) + b'"c":"d"}}',
        b'{"model":"x","messages":[{"role":"user","content":"' + b"\\u00e9" * (MEGABYTE // 6) + b'"}]}',
        b'{"tools":[{"type":"mcp"},' + b"{}," * (MEGABYTE // 3) + b"{}]}",
        b'{"tools":[{"type":"mcp","authorization":"s",' + b'"a":0,' * (MEGABYTE // 6) + b'"b":0}]}',
        b'{"tools":[{"type":"mcp","authorization":"s"}],"x":"' + b"[]" * (MEGABYTE // 2) + b'"}',
        b'{"tools":[{"type":"mcp","authorization":"' + b"\\u0061" * (MEGABYTE // 6) + b'"}]}',
    ],
    ids=["headers", "noise", "members", "escapes", "objects", "many_members", "brackets", "long_secret"],
)
def test_a_megabyte_costs_little_time_and_memory(body: bytes) -> None:
    bones = Skeleton(body, NONCE, [], [])
    times = []
    for _ in range(3):
        begun = time.thread_time()
        _tried(bones)
        times.append(time.thread_time() - begun)
    assert min(times) < 0.1
    tracemalloc.start()
    try:
        _tried(bones)
        assert tracemalloc.get_traced_memory()[1] < 24 * len(body)
    finally:
        tracemalloc.stop()


def _tried(bones: Skeleton) -> None:
    with contextlib.suppress(InvalidRequest):
        hide(bones)


def _refused(body: str) -> tuple[str | None, str | None, str | None]:
    with pytest.raises(InvalidRequest) as refused:
        _hidden(body)
    return refused.value.error.param, refused.value.error.code, refused.value.error.message


def test_objects_and_members_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hide_module, "MAX_OBJECTS", 4)
    _hidden('{"x":"mcp","tools":[{},{},{}]}')
    message = "The body of your request has more than 4 objects."
    assert _refused('{"x":"mcp","tools":[{},{},{},{}]}') == (None, None, message)
    monkeypatch.setattr(hide_module, "MAX_MEMBERS", 2)
    _hidden('{"tools":[{"type":"mcp","authorization":"s"}]}')
    message = "Invalid 'tools': more than 2 members."
    assert _refused('{"tools":[{"type":"mcp","authorization":"s","x":1}]}') == ("tools", None, message)


def test_tools_that_stand_twice_are_refused() -> None:
    tools = '"tools":[{"type":"mcp","authorization":"s"}]'
    assert _refused(f"{{{tools},{tools}}}") == ("tools", None, "Invalid 'tools': given more than once.")


def test_what_is_no_secret_that_can_be_read_is_named() -> None:
    where = "tools[1].headers"
    message = f"Invalid type for '{where}': expected str."
    assert _refused('{"tools":[{"type":"x"},{"type":"mcp","headers":{"a":1}}]}') == (where, "invalid_type", message)
    param, code, _ = _refused('{"tools":[{"type":"mcp","headers":"k"}]}')
    assert (param, code) == ("tools[0].headers", "invalid_type")
    param, code, _ = _refused('{"tools":{"type":"mcp","authorization":"k"}}')
    assert (param, code) == ("tools", "invalid_type")


def test_what_is_hidden_is_still_a_request() -> None:
    bones = _hidden(json.dumps({"model": "m", "tools": [MCP]}))
    assert msgspec.json.decode(bones.body)["tools"][0]["headers"]["N"] is None
