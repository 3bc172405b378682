"""An upstream that ignores what a request goes on from: its answer is asked for again, or withheld, never passed on."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import openai
import pytest

from tests.support.cluster import Cluster
from tests.support.dialogue import Dialogue
from tests.support.queries import rows
from tests.support.samples import user
from tests.support.simulator import Json
from tests.support.wait import until

# What an upstream says of an answer that follows nothing.
IGNORES = ["[[ignores-parent]]", "[[other-parent]]", "[[ignores-parent]] [[stores-nothing]]"]
FIRST = "[[untold]] The river is the Elbe."  # its answer may be a parent, for it does not say otherwise


@pytest.fixture
def model() -> str:
    """A model of the test's own: what an edge remembers of an upstream, it remembers by model."""
    return f"llama-{uuid4().hex[:12]}"


@pytest.fixture
def chat(client: openai.OpenAI, cluster: Cluster) -> Dialogue:
    return Dialogue.named(client, cluster)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def code(self) -> Any:
        return json.loads(self.text)["error"]["code"]


def send(
    cluster: Cluster, chat: Dialogue, messages: list[Json], model: str, *, stream: bool = True, history: str = "whole"
) -> Answer:
    body = json.dumps({"model": model, "messages": messages, "stream": stream}).encode()
    sent = {"authorization": "Bearer unchained", "x-parley-conversation": chat.name or "", "x-parley-history": history}
    request = urllib.request.Request(f"{cluster.base_url}/chat/completions", body, sent)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, dict(answer.headers), answer.read().decode())
    except urllib.error.HTTPError as error:
        return Answer(error.code, dict(error.headers), error.read().decode())


def said(answer: Answer) -> str:
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    return "".join(
        choice["delta"].get("content") or "" for one in data for choice in json.loads(one).get("choices", ())
    )


def asked(cluster: Cluster, model: str) -> list[Json]:
    return [entry for entry in cluster.simulator.ledger() if entry["model"] == model]


@pytest.mark.parametrize("ignores", IGNORES, ids=["null", "other", "unstored"])
def test_whole_answer_costs_one_more_call_and_only_once(
    chat: Dialogue, cluster: Cluster, model: str, ignores: str
) -> None:
    chat.say(user(FIRST), model=model)
    chat.say(user(f"{ignores} Where does it end?"), model=model)
    assert chat.reason == "none/plain_retry"
    first, alone, whole = asked(cluster, model)
    assert (alone["previous_response_id"], whole["previous_response_id"]) == (first["response_id"], None)
    assert len(whole["items"]) > len(alone["items"]) == 1
    sql = f"SELECT outcome, error_code, output_tokens > 0 FROM calls WHERE request_id = '{chat.request_id}'"
    until(lambda: len(rows(cluster.nats.url, sql)) == 2, seconds=30, what="both records")
    assert sorted(rows(cluster.nats.url, sql)) == [["ok", "", 1], ["refused", "upstream_not_chained", 1]]
    chat.say(user("[[untold]] And then?"), model=model)
    assert (chat.reason.partition("/")[2], chat.upstream()["store"]) == ("unchained", False)
    assert len(asked(cluster, model)) == 4


@pytest.mark.parametrize("ignores", IGNORES, ids=["null", "other", "unstored"])
def test_stream_is_asked_for_again_before_any_output(
    chat: Dialogue, cluster: Cluster, model: str, ignores: str
) -> None:
    messages = [user(FIRST)]
    messages.append({"role": "assistant", "content": said(send(cluster, chat, messages, model))})
    messages.append(user(f"{ignores} Where does it end?"))
    answer = send(cluster, chat, messages, model)
    assert answer.text.endswith("data: [DONE]\n\n") and "error" not in answer.text
    _, alone, whole = asked(cluster, model)
    assert alone["previous_response_id"] and not whole["previous_response_id"]
    assert [item["type"] for item in whole["items"] if item["type"] != "reasoning"] == ["message"] * 3
    assert answer.text.count('"finish_reason":"stop"') == 1


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("ignores", IGNORES, ids=["null", "other", "unstored"])
def test_what_is_only_new_is_refused(chat: Dialogue, cluster: Cluster, model: str, ignores: str, stream: bool) -> None:
    send(cluster, chat, [user(FIRST)], model)
    for number in (2, 2):  # the second one is not asked of the upstream
        new = [user(f"{ignores} Where does it end?")]
        answer = send(cluster, chat, new, model, stream=stream, history="delta")
        assert (answer.status, answer.code) == (400, "previous_response_not_found")
        assert len(asked(cluster, model)) == number
    whole = send(cluster, chat, [user(FIRST), user("[[text: Into the sea.]]")], model)
    assert said(whole) == "Into the sea."


@pytest.mark.parametrize("stream", [True, False])
def test_answer_that_ignored_the_client_s_own_parent_is_withheld(
    client: openai.OpenAI, cluster: Cluster, model: str, stream: bool
) -> None:
    first = client.responses.create(model=model, input="The river is the Elbe.")
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(
            model=model,
            messages=[user("[[ignores-parent]] Where does it end?")],
            stream=stream,
            extra_body={"previous_response_id": first.id},
        )
    assert (raised.value.code, raised.value.param) == ("previous_response_not_found", "previous_response_id")


@pytest.mark.parametrize("history", ["whole", "delta"])
def test_stream_that_tells_late_ends_with_an_error(chat: Dialogue, cluster: Cluster, model: str, history: str) -> None:
    first = said(send(cluster, chat, [user(FIRST)], model))
    new = user("[[ignores-parent]] [[told-late]] [[pace: 50ms]] [[text: Alone.]]")
    messages = [new] if history == "delta" else [user(FIRST), {"role": "assistant", "content": first}, new]
    answer = send(cluster, chat, messages, model, history=history)
    code = "previous_response_not_found" if history == "delta" else "upstream_not_chained"
    assert said(answer) == "Alone." and "[DONE]" not in answer.text and '"finish_reason":"stop"' not in answer.text
    assert code in answer.text.strip().splitlines()[-1]
    delta = send(cluster, chat, [user("And?")], model, history="delta")
    assert (delta.status, delta.code) == (400, "previous_response_not_found")


@pytest.mark.parametrize("stream", [True, False])
def test_first_answer_that_is_not_stored_is_no_parent(
    chat: Dialogue, cluster: Cluster, model: str, stream: bool
) -> None:
    prompt = user("[[stores-nothing]] Hello")
    first = send(cluster, chat, [prompt], model, stream=stream)
    assert first.status == 200 and asked(cluster, model)[0]["store"] is True
    text = said(first) if stream else json.loads(first.text)["choices"][0]["message"]["content"]
    delta = send(cluster, chat, [user("And?")], model, history="delta")
    assert (delta.status, delta.code) == (400, "previous_response_not_found")
    messages = [prompt, {"role": "assistant", "content": text}, user("And?")]
    whole = send(cluster, chat, messages, model)
    assert whole.headers["x-parley-continuity"].startswith("replay;reason=not_a_parent")
    assert len(asked(cluster, model)) == 2 and asked(cluster, model)[1]["previous_response_id"] is None


def test_what_an_upstream_leaves_out_says_nothing(chat: Dialogue, model: str) -> None:
    for number in range(3):
        chat.say(user(f"[[untold]] Question {number}"), model=model)
    assert chat.continuity == "chain;reason=matched;matched=2"
