"""Upstreams that cut characters in two, or say in the end something else than before: a client gets what was said."""

import json
import urllib.request
from typing import Any
from uuid import uuid4

import openai
import pytest

from tests.support.cluster import Cluster
from tests.support.dialogue import Dialogue
from tests.support.queries import rows
from tests.support.samples import MODEL, WEATHER_TOOL, user
from tests.support.simulator import Json
from tests.support.wait import until

TEXT = "Hi 🌊 there, 𝛑 you"
CALL = 'get_weather {"city":"Z🌊rich 𝛑"}'


def ask(cluster: Cluster, messages: list[Json], **fields: Any) -> tuple[bytes, str]:
    """Return the bytes of an answer, and how the request was continued."""
    body = json.dumps({"model": MODEL, "messages": messages, **fields}).encode()
    headers = {"authorization": "Bearer texts", "content-type": "application/json"}
    request = urllib.request.Request(f"{cluster.base_url}/chat/completions", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read(), answer.headers["x-parley-continuity"]


def whole(cluster: Cluster, prompt: str, **fields: Any) -> Json:
    answer, _ = ask(cluster, [user(prompt)], **fields)
    message: Json = json.loads(answer)["choices"][0]["message"]
    return message


def streamed(cluster: Cluster, prompt: str, **fields: Any) -> Json:
    """Return the message that a stream adds up to; its end must be one."""
    answer, _ = ask(cluster, [user(prompt)], stream=True, **fields)
    assert answer.endswith(b"data: [DONE]\n\n"), answer[-500:]
    lines = [line.removeprefix(b"data: ") for line in answer.splitlines() if line.startswith(b"data: {")]
    deltas = [choice["delta"] for line in lines for choice in json.loads(line)["choices"]]
    calls = [part["function"] for delta in deltas for part in delta.get("tool_calls", ())]
    keys = ("content", "refusal", "reasoning_content")
    message = {key: "".join(delta.get(key) or "" for delta in deltas) for key in keys}
    return {**message, "arguments": "".join(call.get("arguments") or "" for call in calls)}


@pytest.mark.parametrize(
    ("script", "key"),
    [
        (f"[[text: {TEXT}]]", "content"),
        (f"[[refuse: {TEXT}]]", "refusal"),
        (f"[[summary: {TEXT}]] [[text: x]]", "reasoning_content"),
        (f"[[thought: {TEXT}]] [[text: x]]", "reasoning_content"),
        (f"[[call: {CALL}]]", "arguments"),
    ],
)
def test_characters_cut_in_two_are_whole_again(cluster: Cluster, script: str, key: str) -> None:
    fields: Json = {"tools": [WEATHER_TOOL]} if key == "arguments" else {}
    usual = streamed(cluster, script, **fields)[key]
    assert "🌊" in usual and "𝛑" in usual
    for distortion in (
        "[[split-pairs]]",
        "[[split-pairs]] [[no-done]]",
        "[[split-pairs]] [[no-done]] [[empty-output]]",
    ):
        assert streamed(cluster, f"{distortion} {script}", **fields)[key] == usual, distortion


def test_half_of_a_character_is_replaced_in_streams_and_whole_answers_alike(cluster: Cluster) -> None:
    said = TEXT.replace("🌊", "\ufffd").replace("𝛑", "\ufffd")
    for script in ("[[lone-halves]]", "[[lone-halves]] [[no-deltas]]", "[[lone-halves]] [[only-completed]]"):
        assert streamed(cluster, f"{script} [[text: {TEXT}]]")["content"] == said
    assert whole(cluster, f"[[lone-halves]] [[text: {TEXT}]]")["content"] == said


@pytest.mark.parametrize(
    ("distortion", "said"),
    [
        ("null-deltas", "One three"),
        ("other-done", "One two three"),
        ("short-done", "One two three"),
        ("empty-done", "One two three"),
        ("other-output", "One two three"),
        ("duplicate-deltas", "OneOne two two three three"),
    ],
)
def test_what_the_end_says_otherwise_adds_nothing(cluster: Cluster, distortion: str, said: str) -> None:
    prompt = f"[[{distortion}]] [[text: One two three]]"
    before = _differences(cluster)
    assert streamed(cluster, prompt)["content"] == said
    assert (_differences(cluster) > before) is (distortion != "empty-done")


def _differences(cluster: Cluster) -> float:
    with urllib.request.urlopen(f"{cluster.url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("parley_text_differences_total{"))


@pytest.mark.parametrize("distortion", ["null-deltas", "other-done", "other-output", "split-pairs", "lone-halves"])
def test_conversation_goes_on_from_what_the_client_got(
    client: openai.OpenAI, cluster: Cluster, distortion: str
) -> None:
    chat = Dialogue(client, cluster, f"test-{uuid4()}")
    prompt = user(f"[[{distortion}]] [[text: One 🌊 two three]]")
    stream = client.chat.completions.create(
        model=MODEL, messages=[prompt], stream=True, extra_headers={"x-parley-conversation": chat.name or ""}
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    chat.messages = [prompt, {"role": "assistant", "content": text}]
    chat.say(user("Next"))
    assert chat.continuity == "chain;reason=matched;matched=1"


@pytest.mark.parametrize("stream", [True, False])
def test_relayed_answer_with_halves_passes_and_is_recorded(cluster: Cluster, stream: bool) -> None:
    body = json.dumps({"model": MODEL, "input": f"[[lone-halves]] [[text: {TEXT}]]", "stream": stream}).encode()
    headers = {"authorization": "Bearer texts", "content-type": "application/json"}
    request = urllib.request.Request(f"{cluster.base_url}/responses", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert b"\\ud83c" in answer.read()
        sql = f"SELECT outcome, output_tokens > 0 FROM calls WHERE request_id = '{answer.headers['x-request-id']}'"
    until(lambda: bool(rows(cluster.nats.url, sql)), seconds=30, what="the record")
    assert rows(cluster.nats.url, sql) == [["ok", 1]]
