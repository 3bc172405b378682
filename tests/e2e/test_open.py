"""Parley's own key serves two callers, and neither reaches what was made for the other."""

import gzip
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import Response

from libs.runtime.secret import load_secret
from services.edge.tenants import Tenants
from tests.support.cluster import Cluster, running_cluster
from tests.support.samples import user
from tests.support.simulator import Simulator, started_simulator
from tests.support.wait import until

FIRST, SECOND, NATIVE = "gpt-5-mini", "gpt-5", "gpt-5-nano"
MINE, OTHER, LINKED = "sk-mine", "sk-other", "sk-linked"
SECRET = "0123456789abcdef0123456789abcdef"

CONFIG = """
[[tenant]]
digests = ["{mine}", "{linked}"]

[[upstream]]
name = "first"
base_url = "{first}"
auth = "key"
key_env = "UPSTREAM_KEY"
models = ["{model}", "{native}", "text-embedding-*"]
model_rules = [{{ match = "{native}", bridge = "bypass" }}]
shared_ids = ["file-shared*", "vs_*"]

[[upstream]]
name = "second"
base_url = "{second}"
auth = "key"
key_env = "UPSTREAM_KEY"
models = ["*"]
"""


@pytest.fixture(scope="module")
def second() -> Iterator[Simulator]:
    with started_simulator() as simulator:
        yield simulator


def digest(key: str) -> str:
    secret = load_secret({"PARLEY_SECRET": SECRET}, "")
    return Tenants(secret, [], {}).identify({"authorization": f"Bearer {key}"}).tenant


@pytest.fixture(scope="module")
def open_(tmp_path_factory: pytest.TempPathFactory, second: Simulator) -> Iterator[Cluster]:
    """A cluster whose upstreams are both called with Parley's own key; `simulator` is the first."""
    directory: Path = tmp_path_factory.mktemp("open")
    with started_simulator() as first:
        config = directory / "parley.toml"
        config.write_text(
            CONFIG.format(
                first=first.base_url,
                second=second.base_url,
                model=FIRST,
                native=NATIVE,
                mine=digest(MINE),
                linked=digest(LINKED),
            )  # fmt: skip
        )
        environ = {"PARLEY_CONFIG": str(config), "UPSTREAM_KEY": "sk-upstream", "PARLEY_SECRET": SECRET}
        with running_cluster(directory, environ=environ, analytics=False) as cluster:
            cluster.simulator = first
            yield cluster


def client_of(cluster: Cluster, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=cluster.base_url, api_key=key, max_retries=0)


@pytest.fixture
def mine(open_: Cluster) -> Iterator[openai.OpenAI]:
    with client_of(open_, MINE) as client:
        yield client


@pytest.fixture
def other(open_: Cluster) -> Iterator[openai.OpenAI]:
    with client_of(open_, OTHER) as client:
        yield client


def fetch(
    cluster: Cluster, method: str, path: str, body: Any = None, *, key: str = OTHER, **headers: str
) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", cluster["edge"].port, timeout=30)
    try:
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"authorization": f"Bearer {key}", "content-type": "application/json", **headers}
        connection.request(method, path, raw, sent)
        answer = connection.getresponse()
        text = answer.read()
        told = json.loads(text) if text.startswith(b"{") else text
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, told
    finally:
        connection.close()


class Untouched:
    """That no upstream received anything while the block ran."""

    def __init__(self, *simulators: Simulator) -> None:
        self._simulators = simulators

    def __enter__(self) -> None:
        self._before = [len(simulator.ledger(1000)) for simulator in self._simulators]

    def __exit__(self, *_: object) -> None:
        assert [len(simulator.ledger(1000)) for simulator in self._simulators] == self._before


@pytest.fixture
def untouched(open_: Cluster, second: Simulator) -> Untouched:
    return Untouched(open_.simulator, second)


NOT_FOUND: dict[str, Callable[[str], tuple[int, str, str | None, str | None]]] = {
    "parent": lambda id_: (
        400,
        f"Previous response with id '{id_}' not found.",
        "previous_response_id",
        "previous_response_not_found",
    ),
    "response": lambda id_: (404, f"Response with id '{id_}' not found.", None, None),
    "conversation": lambda id_: (404, f"Conversation with id '{id_}' not found.", None, None),
    "conversation in a body": lambda id_: (404, f"Conversation with id '{id_}' not found.", "conversation", None),
    "item": lambda id_: (404, f"Item with id '{id_}' not found.", "input", None),
    "completion": lambda id_: (404, f"Chat completion '{id_}' not found.", None, "not_found"),
}


def refused(answer: tuple[int, dict[str, str], Any], words: str, id_: str) -> None:
    status, _, told = answer
    error = told["error"]
    assert (status, error["message"], error["param"], error["code"]) == NOT_FOUND[words](id_)
    assert error["type"] == "invalid_request_error"


def references(made: Response) -> list[Any]:
    return [{"type": "item_reference", "id": item.id} for item in made.output]


@pytest.mark.parametrize("model", [FIRST, SECOND])
def test_response_of_another_is_not_there(
    open_: Cluster, mine: openai.OpenAI, untouched: Untouched, model: str
) -> None:
    made = mine.responses.create(model=model, input="Hi")
    item = made.output[-1].id
    chat: Any = {"model": model, "messages": [user("And?")]}
    with untouched:
        for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
            refused(fetch(open_, method, f"/v1/responses/{made.id}{rest}"), "response", made.id)
        refused(fetch(open_, "GET", f"/v1/responses/{made.id}?stream=true"), "response", made.id)
        body = {"model": model, "input": "And?"}
        for path in ("/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens"):
            refused(fetch(open_, "POST", path, {**body, "previous_response_id": made.id}), "parent", made.id)
            reference = {"model": model, "input": [{"type": "item_reference", "id": item}]}
            refused(fetch(open_, "POST", path, reference), "item", str(item))
            untyped = {"model": model, "input": [{"id": item}]}
            refused(fetch(open_, "POST", path, untyped), "item", str(item))
        streamed = {**body, "stream": True, "previous_response_id": made.id}
        refused(fetch(open_, "POST", "/v1/responses", streamed), "parent", made.id)
        refused(fetch(open_, "POST", f"/v1/responses?previous_response_id={made.id}", body), "parent", made.id)
        escaped = json.dumps({**body, "previous_response_id": made.id}).replace("_id", "_\\u0069d").encode()
        refused(fetch(open_, "POST", "/v1/responses", escaped), "parent", made.id)
        hidden = json.dumps({**body, "previous_response_id": made.id})
        for path in ("/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens", "/v1/conversations"):
            for told, headers in (
                (hidden.encode("utf-16"), {}),
                (hidden.encode("utf-8-sig"), {}),
                (gzip.compress(hidden.encode()), {"content-encoding": "gzip"}),
                (f"previous_response_id={made.id}".encode(), {"content-type": "application/x-www-form-urlencoded"}),
                (f"[{hidden}]".encode(), {}),
            ):
                assert fetch(open_, "POST", path, told, **headers)[0] == 400, (path, headers)
        refused(
            fetch(open_, "POST", "/v1/chat/completions", {**chat, "previous_response_id": made.id}), "parent", made.id
        )
        path = f"/v1/chat/completions?previous_response_id={made.id}"
        refused(fetch(open_, "POST", path, {**chat, "stream": True}), "parent", made.id)
    assert mine.responses.retrieve(made.id).id == made.id
    assert mine.responses.input_items.list(made.id).data
    assert mine.responses.create(model=model, input="And?", previous_response_id=made.id).id
    own: Any = [*references(made), user("And?")]
    assert mine.responses.create(model=model, input=own).id
    assert mine.chat.completions.create(**chat, extra_body={"previous_response_id": made.id}).id


def test_conversation_of_another_is_not_there(open_: Cluster, mine: openai.OpenAI, untouched: Untouched) -> None:
    made = mine.conversations.create(items=[{"type": "message", "role": "user", "content": "Hi"}])
    [item] = mine.conversations.items.create(
        made.id, items=[{"type": "message", "role": "user", "content": "More"}]
    ).data
    chat: Any = {"model": FIRST, "messages": [user("And?")]}
    body = {"model": FIRST, "input": "And?"}
    with untouched:
        path = f"/v1/conversations/{made.id}"
        for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/items"), ("GET", f"/items/{item.id}")):
            refused(fetch(open_, method, path + rest), "conversation", made.id)
        refused(fetch(open_, "POST", path, {"metadata": {}}), "conversation", made.id)
        refused(fetch(open_, "POST", f"{path}/items", {"items": []}), "conversation", made.id)
        for named in (made.id, {"id": made.id}):
            words = "conversation in a body"
            refused(fetch(open_, "POST", "/v1/responses", {**body, "conversation": named}), words, made.id)
            refused(fetch(open_, "POST", "/v1/chat/completions", {**chat, "conversation": named}), words, made.id)
        path = f"/v1/chat/completions?conversation_id={made.id}"
        refused(fetch(open_, "POST", path, chat), "conversation in a body", made.id)
        header = {"x-parley-conversation": made.id}
        refused(fetch(open_, "POST", "/v1/chat/completions", chat, **header), "conversation in a body", made.id)
        reference = {"model": FIRST, "input": [{"type": "item_reference", "id": item.id}]}
        refused(fetch(open_, "POST", "/v1/responses", reference), "item", str(item.id))
        copied = {"items": [{"type": "item_reference", "id": item.id}]}
        status, _, told = fetch(open_, "POST", "/v1/conversations", copied)
        assert (status, told["error"]["param"]) == (404, "items")
    assert mine.conversations.retrieve(made.id).id == made.id
    assert mine.conversations.items.list(made.id).data
    assert mine.responses.create(model=FIRST, input="And?", conversation=made.id).id
    assert mine.chat.completions.create(**chat, extra_body={"conversation": made.id}).id
    mine.conversations.delete(made.id)
    refused(fetch(open_, "GET", f"/v1/conversations/{made.id}", key=MINE), "conversation", made.id)


@pytest.mark.parametrize("model", [FIRST, SECOND, NATIVE])
@pytest.mark.parametrize("stream", [False, True])
def test_completion_of_another_is_not_there(
    open_: Cluster, mine: openai.OpenAI, untouched: Untouched, model: str, stream: bool
) -> None:
    headers = {"x-parley-retain": "none"} if stream else {}  # nothing is committed then, and the id is claimed
    made = mine.chat.completions.create(
        model=model, messages=[user("Hi")], store=True, stream=stream, extra_headers=headers
    )
    id_ = [chunk.id for chunk in made][0] if stream else made.id  # type: ignore[union-attr]
    with untouched:
        for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/messages")):
            refused(fetch(open_, method, f"/v1/chat/completions/{id_}{rest}"), "completion", id_)
        response_id = id_.replace("chatcmpl-", "resp_")
        refused(fetch(open_, "GET", f"/v1/responses/{response_id}"), "response", response_id)
    if model != NATIVE:  # the simulator keeps none of these
        assert mine.chat.completions.retrieve(id_).id == id_
        mine.chat.completions.delete(id_)
        with untouched:
            refused(fetch(open_, "GET", f"/v1/chat/completions/{id_}", key=MINE), "completion", id_)


def test_items_of_a_typed_chat_answer_are_its_caller_s(open_: Cluster, mine: openai.OpenAI) -> None:
    body = {"model": FIRST, "messages": [user("Hi")], "store": True}
    made = fetch(open_, "POST", "/v1/chat/completions", body, key=MINE, **{"x-parley-format": "responses"})[2]
    own: Any = [*({"type": "item_reference", "id": item["id"]} for item in made["output"]), user("And?")]
    assert mine.responses.create(model=FIRST, input=own).id
    refused(fetch(open_, "POST", "/v1/responses", {"model": FIRST, "input": own}), "item", str(made["output"][0]["id"]))


def test_own_ids_are_known_at_once_however_they_were_made(
    mine: openai.OpenAI, open_: Cluster, second: Simulator
) -> None:
    with mine.responses.create(model=SECOND, input="[[text: A long, long, long answer.]]", stream=True) as stream:
        for event in stream:
            if event.type == "response.created":
                asked = f"/v1/responses/{event.response.id}"
                fetch(open_, "GET", asked, key=MINE)  # which the upstream answers as it likes
                assert second.ledger()[-1]["path"] == asked
            if event.type == "response.completed":
                done = event.response
    assert mine.responses.retrieve(done.id).id == done.id
    assert mine.responses.create(model=SECOND, input=[*references(done), user("And?")]).id
    working = mine.responses.create(model=FIRST, input="Hi", background=True)
    until(lambda: mine.responses.retrieve(working.id).status == "completed", seconds=10, what="the answer")
    late = mine.responses.retrieve(working.id)
    assert mine.responses.create(model=FIRST, input=[*references(late), user("And?")]).id
    compacted = fetch(
        open_,
        "POST",
        "/v1/responses/compact",
        {"model": FIRST, "input": "Hi", "previous_response_id": done.id},
        key=MINE,
    )
    assert compacted[0] == 400  # it is the second upstream's, and this goes to the first


def test_item_of_another_is_not_had_by_giving_its_id_to_one_s_own(
    open_: Cluster, mine: openai.OpenAI, other: openai.OpenAI, untouched: Untouched
) -> None:
    wanted = str(mine.responses.create(model=FIRST, input="Hi").output[-1].id)
    bait: Any = {"type": "message", "id": wanted, "role": "user", "content": [{"type": "input_text", "text": "x"}]}
    conversation = other.conversations.create()
    path = f"/v1/conversations/{conversation.id}/items"
    for method, where, body in (
        ("POST", path, {"items": [bait]}),
        ("GET", path, None),
        ("POST", "/v1/responses/compact", {"model": FIRST, "input": [bait]}),
        ("POST", "/v1/responses", {"model": FIRST, "input": [bait]}),
    ):
        told = fetch(open_, method, where, body)[2]
        if where == "/v1/responses" and "id" in told:
            fetch(open_, "GET", f"/v1/responses/{told['id']}/input_items")
    with untouched:
        body = {"model": FIRST, "input": [{"type": "item_reference", "id": wanted}]}
        refused(fetch(open_, "POST", "/v1/responses", body), "item", wanted)
        status, _, _ = fetch(open_, "POST", "/v1/chat/completions", {"model": FIRST, "messages": body["input"]})
        assert status == 400


def test_linked_tenants_share(open_: Cluster, mine: openai.OpenAI) -> None:
    made = mine.responses.create(model=FIRST, input="Hi")
    assert fetch(open_, "GET", f"/v1/responses/{made.id}", key=LINKED)[0] == 200


def test_deleted_response_is_nobody_s(open_: Cluster, mine: openai.OpenAI, untouched: Untouched) -> None:
    made = mine.responses.create(model=FIRST, input="Hi")
    mine.responses.delete(made.id)

    def forgotten() -> bool:
        before = len(open_.simulator.ledger(1000))
        return fetch(open_, "GET", f"/v1/responses/{made.id}", key=MINE)[0] == 404 and before == len(
            open_.simulator.ledger(1000)
        )

    until(forgotten, seconds=5, what="the claim gone")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/files"),
        ("GET", "/v1/files?purpose=batch"),
        ("GET", "/v1/files/"),
        ("GET", "/v1/%66iles"),
        ("GET", "/v1/batches"),
        ("GET", "/v1/vector_stores"),
        ("GET", "/v1/containers"),
        ("GET", "/v1/fine_tuning/jobs"),
        ("GET", "/v1/videos"),
        ("GET", "/v1/evals"),
        ("GET", "/v1/assistants"),
        ("POST", "/v1/threads"),
        ("GET", "/v1/organization/users"),
        ("GET", "/v1/organization/usage/completions"),
        ("POST", "/v1/realtime/client_secrets"),
        ("DELETE", "/v1/models/gpt-5"),
        ("GET", "/v1/responses"),
        ("GET", "/v1/conversations"),
        ("GET", "/v1/never/heard/of"),
        ("PUT", "/v1/embeddings"),
        ("GET", "/v1/embeddings/..%2ffiles"),
        ("GET", "/v1/models/..%2ffiles"),
    ],
)
def test_what_may_be_another_s_is_not_relayed(open_: Cluster, untouched: Untouched, method: str, path: str) -> None:
    with untouched:
        status, _, told = fetch(open_, method, path, {} if method in ("POST", "PUT") else None)
    assert status in (403, 404, 405)
    assert set(told["error"]) == {"message", "type", "param", "code"}
    if ".." not in path and path not in ("/v1/responses", "/v1/files/"):  # which are served, or no path at all
        assert (status, told["error"]["code"]) == (403, "not_relayed")


def test_what_keeps_nothing_is_relayed(other: openai.OpenAI) -> None:
    assert other.models.list().data
    assert other.models.retrieve(FIRST).id == FIRST
    assert other.embeddings.create(model="text-embedding-3-small", input="x").data


def test_batch_of_responses_is_refused(open_: Cluster, untouched: Untouched) -> None:
    body = {"endpoint": "/v1/responses", "input_file_id": "file-shared1", "completion_window": "24h"}
    with untouched:
        status, _, told = fetch(open_, "POST", "/v1/batches", body)
    assert (status, told["error"]["param"], told["error"]["code"]) == (403, "endpoint", "not_relayed")


def test_file_that_is_not_shared_is_its_maker_s(open_: Cluster, mine: openai.OpenAI, untouched: Untouched) -> None:
    made = mine.files.create(file=("f.txt", b"x"), purpose="user_data")
    part = {"type": "input_file", "file_id": made.id}
    asking = {"model": FIRST, "input": [{"role": "user", "content": [part]}]}
    chat = {"model": FIRST, "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": made.id}}]}]}
    searching = {"model": FIRST, "input": "x", "tools": [{"type": "code_interpreter", "container": "cntr_1"}]}
    message = f"File with id '{made.id}' not found."
    with untouched:
        for method, path, body in (
            ("GET", f"/v1/files/{made.id}", None),
            ("GET", f"/v1/files/{made.id}/content", None),
            ("DELETE", f"/v1/files/{made.id}", None),
            ("POST", "/v1/responses", asking),
            ("POST", "/v1/chat/completions", chat),
            ("POST", "/v1/vector_stores", {"file_ids": [made.id]}),
        ):
            status, _, told = fetch(open_, method, path, body)
            assert (status, told["error"]["message"]) == (404, message), (method, path)
        assert fetch(open_, "POST", "/v1/responses", searching)[2]["error"]["message"].startswith("Container with id")
        disguised = {"content-type": "multipart/form-data; boundary=x"}
        status, _, told = fetch(open_, "POST", "/v1/vector_stores", {"file_ids": [made.id]}, **disguised)
        assert (status, told["error"]["message"]) == (404, message)
    # The upstream hears of what is one's own, and of what is shared.
    for key, path in (
        (MINE, f"/v1/files/{made.id}"),
        (OTHER, "/v1/files/file-shared1"),
        (OTHER, "/v1/vector_stores/vs_1"),
    ):
        fetch(open_, "GET", path, key=key)
        assert open_.simulator.ledger()[-1]["path"] == path


def is_there(cluster: Cluster, response_id: str) -> bool:
    return fetch(cluster, "GET", f"/v1/responses/{response_id}", key=MINE)[0] == 200


@pytest.mark.parametrize("fault", ["nats", "state"])
def test_frozen_parts_relay_nothing_unseen(
    open_: Cluster, mine: openai.OpenAI, untouched: Untouched, fault: str
) -> None:
    made = mine.responses.create(model=FIRST, input="Hi")
    part = open_.nats if fault == "nats" else open_["state"]
    part.send(signal.SIGSTOP)
    stat = Path(f"/proc/{open_.nats.pid if fault == 'nats' else open_['state'].process.pid}/stat")
    until(lambda: ") T " in stat.read_text(), seconds=5, what="a frozen part")
    try:
        started = time.monotonic()
        with untouched:
            status, headers, told = fetch(open_, "GET", f"/v1/responses/{made.id}", key=MINE)
        assert (status, told["error"]["code"]) == (503, "state_unavailable") and headers["retry-after"]
        assert time.monotonic() - started < 5
        started = time.monotonic()
        assert mine.embeddings.create(model="text-embedding-3-small", input="x").data
        assert mine.responses.create(model=FIRST, input="Hi").id
        assert time.monotonic() - started < 2
    finally:
        part.send(signal.SIGCONT)
    until(partial(is_there, open_, made.id), seconds=20, what="the look-up")


def test_without_the_bus_only_requests_that_name_no_id_are_served(
    open_: Cluster, mine: openai.OpenAI, untouched: Untouched
) -> None:
    made = mine.responses.create(model=FIRST, input="Hi")
    open_.nats.kill()
    try:
        with untouched:
            status, headers, told = fetch(open_, "GET", f"/v1/responses/{made.id}", key=MINE)
        assert (status, told["error"]["code"]) == (503, "state_unavailable") and headers["retry-after"]
        assert mine.embeddings.create(model="text-embedding-3-small", input="x").data
        late = mine.responses.create(model=FIRST, input="Hi")
        assert fetch(open_, "GET", "/v1/files", key=MINE)[0] == 403
    finally:
        open_.nats.start()
    for one in (made, late):
        until(partial(is_there, open_, one.id), seconds=20, what=one.id)


def test_nothing_is_relayed_unseen_and_claims_come_late_but_come(
    open_: Cluster, mine: openai.OpenAI, untouched: Untouched
) -> None:
    before = mine.responses.create(model=SECOND, input="Hi")
    open_["state"].kill()
    try:
        with untouched:
            for method, path, body in (
                ("GET", f"/v1/responses/{before.id}", None),
                ("DELETE", f"/v1/responses/{before.id}", None),
                ("GET", f"/v1/chat/completions/{before.id.replace('resp_', 'chatcmpl-')}", None),
                ("POST", "/v1/responses", {"model": SECOND, "input": "x", "previous_response_id": before.id}),
                ("POST", "/v1/responses", {"model": SECOND, "input": "x", "conversation": "conv_1"}),
            ):
                status, headers, told = fetch(open_, method, path, body, key=MINE)
                assert (status, told["error"]["code"]) == (503, "state_unavailable"), (method, path)
                assert headers["retry-after"]
        started = time.monotonic()
        made = mine.responses.create(model=SECOND, input="Hi")  # which names no id
        streamed = list(mine.responses.create(model=SECOND, input="Hi", stream=True))
        assert time.monotonic() - started < 3
        assert streamed[-1].type == "response.completed"
    finally:
        open_["state"].start()
        open_["state"].wait_ready()
    assert mine.responses.retrieve(made.id).id == made.id
    another = open_.another("edge", {"PARLEY_PORT": "0"})
    another.start()
    another.wait_ready()
    elsewhere = openai.OpenAI(base_url=f"http://127.0.0.1:{another.port}/v1", api_key=MINE, max_retries=0)

    def known() -> bool:
        try:
            return elsewhere.responses.retrieve(made.id).id == made.id
        except openai.NotFoundError:
            return False

    until(known, seconds=20, what="the claim that was kept")
    another.stop()


def test_door_opens_only_where_it_is_told_to(open_: Cluster, tmp_path: Path) -> None:
    beyond = {"PARLEY_HOST": "0.0.0.0", "PARLEY_PORT": "0"}
    told = open_.another("edge", {**beyond, "PARLEY_OPEN": "true"})
    told.start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{told.port}/status", timeout=10) as answer:
            door = json.load(answer)["door"]
        assert (door["mode"], door["open"]) == ("open", True) and "first, second" in door["warning"]
        assert "door_open" in told.logged() and "ERROR" in told.logged().upper()
    finally:
        told.stop()
    command = [sys.executable, "-m", "services.edge"]
    environ = {**os.environ, **open_["edge"]._environ, **beyond}
    untold = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)
    assert untold.returncode != 0 and "edge.open" in untold.stderr and untold.stdout == ""
    within = fetch(open_, "GET", "/status")[2]["door"]
    assert within == {"mode": "open", "open": False}
