"""Misbehaviour on demand, on real sockets: what a client or a gateway sees of each fault."""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from simulator.scripts.distortions import DISTORTIONS
from tests.support.simulator import HttpAnswer, Json, Simulator, started_simulator


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with started_simulator() as started:
        yield started


def send(simulator: Simulator, script: str, stream: bool = True, **body: Any) -> HttpAnswer:
    return simulator.respond(
        {"model": "gpt-5.5", "input": "Hello Zürich 🌍", "stream": stream, **body},
        headers={"x-simulator-script": script},
    )


def events(simulator: Simulator, script: str, **body: Any) -> list[Json]:
    return send(simulator, script, **body).events()


def types(found: list[Json]) -> list[str]:
    return [event["type"] for event in found]


def raw(simulator: Simulator, script: str) -> tuple[bytes, bool]:
    """Everything that arrives on one connection, and whether it ended in a reset."""
    body = json.dumps({"model": "gpt-5.5", "input": f"Hello {script}", "stream": True}).encode()
    fields = {"host": "x", "connection": "close", "authorization": "Bearer k", "content-length": str(len(body))}
    head = "POST /v1/responses HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n"
    received = b""
    with socket.create_connection(simulator.address, timeout=30) as connection:
        connection.sendall(head.encode() + body)
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            return received, True
    return received, False


def test_a_reset_is_a_reset_and_a_cut_an_end(simulator: Simulator) -> None:
    received, was_reset = raw(simulator, "[[reset]]")
    assert was_reset and (not received or b"response.completed" not in received)
    received, was_reset = raw(simulator, "[[cut]]")
    assert not was_reset and b"response.output_text.delta" in received and b"response.completed" not in received
    assert raw(simulator, "[[reset-at-once]]") == (b"", True)


@pytest.mark.parametrize(
    ("script", "status", "type", "part"),
    [
        ("[[html: 502]]", 502, "text/html; charset=utf-8", b"<html>"),
        ("[[detail: 422 Not that.]]", 422, "application/json", b'{"detail": "Not that."}'),
    ],
)
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_answers_that_no_api_gives(
    simulator: Simulator, path: str, script: str, status: int, type: str, part: bytes
) -> None:
    body = {"model": "gpt-5.5", "input": "x"} if path.endswith("responses") else {"model": "gpt-5.5", "messages": USER}
    answer = simulator.call("POST", path, body, headers={"x-simulator-script": script})
    assert (answer.status, answer.headers["content-type"]) == (status, type)
    assert part in answer.body


USER = [{"role": "user", "content": "Hello"}]


def test_faults_happen_so_many_times_and_then_no_more(simulator: Simulator) -> None:
    script = "[[times: 2 first]] [[http: 429]] [[retry-after: 7]]"
    answers = [send(simulator, script) for _ in range(3)]
    assert [answer.status for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "7" and answers[2].events()[-1]["type"] == "response.completed"
    assert send(simulator, script.replace("first", "second")).status == 429


def test_the_sdk_retries_past_faults_that_end(simulator: Simulator) -> None:
    with OpenAI(base_url=simulator.base_url, api_key="k", max_retries=2) as client:
        made = client.responses.create(model="gpt-5", input="[[times: 1 sdk]] [[http: 503]] [[text: At last.]]")
    assert made.output_text == "At last."


def test_headers_come_late_and_a_client_that_does_not_wait_is_noted(simulator: Simulator) -> None:
    body = json.dumps({"model": "gpt-5.5", "input": "[[slow-headers: 60s]]"}).encode()
    connection = http.client.HTTPConnection(*simulator.address, timeout=30)
    connection.request("POST", "/v1/responses", body, {"authorization": "Bearer late"})
    simulator.wait_for_request(lambda entry: "slow-headers" in str(entry["body"]))
    connection.close()
    entry = simulator.wait_for_request(lambda entry: bool(entry["disconnected"]))
    assert entry["status"] is None


@pytest.mark.parametrize("newline", [b"\r\n", b"\r"], ids=["crlf", "cr"])
def test_other_line_ends_hold_the_same_events(simulator: Simulator, newline: bytes) -> None:
    body = send(simulator, "[[crlf]]" if newline == b"\r\n" else "[[cr]]").body
    assert body.count(newline * 2) == body.count(b"event: ") and b"\n\n" not in body
    # The official SDK reads any of them.
    with OpenAI(base_url=simulator.base_url, api_key="k") as client:
        script = {"x-simulator-script": "[[cr]]"}
        stream = client.responses.create(model="gpt-5", input="Hello", stream=True, extra_headers=script)
        assert [event.type for event in stream][-1] == "response.completed"


def test_frames_of_other_servers(simulator: Simulator) -> None:
    assert b"event: " not in send(simulator, "[[no-event-lines]]").body
    assert send(simulator, "[[done]]").body.endswith(b"data: [DONE]\n\n")
    assert send(simulator, "[[pings]]").body.startswith(b": ping\n\n")
    with pytest.raises(json.JSONDecodeError):
        send(simulator, "[[malformed]]").events()


def test_deltas_come_twice_with_the_same_number(simulator: Simulator) -> None:
    deltas = [event for event in events(simulator, "[[duplicate-deltas]]") if event["type"].endswith(".delta")]
    assert deltas[::2] == deltas[1::2] and deltas


def chunks(simulator: Simulator, script: str) -> list[bytes]:
    """The body as the chunks it was written in."""
    head, _, rest = raw(simulator, script + " Zürich 🌍")[0].partition(b"\r\n\r\n")
    assert b"chunked" in head.lower()
    found: list[bytes] = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        found.append(rest[:length])
        rest = rest[length + 2 :]
    return found


def test_bytes_are_written_one_by_one(simulator: Simulator) -> None:
    written = chunks(simulator, "[[bytes: 1]]")
    assert {len(chunk) for chunk in written[:-1]} == {1}
    assert "Zürich 🌍" in b"".join(written).decode()


def test_a_write_ends_inside_a_character(simulator: Simulator) -> None:
    written = chunks(simulator, "[[split-characters]]")
    broken = [chunk for chunk in written if not _decodes(chunk)]
    assert broken and "Zürich" in b"".join(written).decode()


def _decodes(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_one_frame_of_megabytes(simulator: Simulator) -> None:
    (delta,) = [event for event in events(simulator, "[[huge: 3000000]]") if event["type"].endswith("text.delta")]
    assert len(delta["delta"]) == 3_000_000


# What each distorted stream must not have, or must: a test per row, and a row per distortion.
FORBIDDEN: dict[str, str] = {
    "no-deltas": ".delta",
    "no-done": ".done",
    "no-terminal": "response.completed",
    "no-lifecycle": "response.created",
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_events_that_a_distortion_leaves_out(simulator: Simulator, name: str) -> None:
    found = types(events(simulator, f"[[{name}]]"))
    assert found and not any(type.endswith(FORBIDDEN[name]) for type in found)
    assert any(type.endswith(FORBIDDEN[name]) for type in types(events(simulator, "")))


def test_only_the_terminal_event(simulator: Simulator) -> None:
    found = events(simulator, "[[only-completed]]")
    assert types(found) == ["response.created", "response.in_progress", "response.completed"]
    assert found[-1]["response"]["output"]


def test_events_in_the_wrong_order(simulator: Simulator) -> None:
    found = types(events(simulator, "[[shuffled]] [[reasoning: 0]]"))
    assert found.index("response.content_part.added") < found.index("response.output_item.added")
    assert sorted(found) == sorted(types(events(simulator, "[[reasoning: 0]]")))


def test_items_that_are_null_unknown_or_renamed(simulator: Simulator) -> None:
    nulls = [event["item"] for event in events(simulator, "[[item-null]]") if "item" in event]
    assert nulls and set(nulls) == {None}
    unknown = events(simulator, "[[unknown-items]]")
    assert [event["item"]["type"] for event in unknown if "item" in event][:2] == ["future_call", "future_call"]
    rotated = [event["item_id"] for event in events(simulator, "[[id-rotation]]") if "item_id" in event]
    assert len(set(rotated)) == len(rotated)
    assert "response.future_thing.delta" in types(events(simulator, "[[unknown-events]]"))


def test_a_terminal_event_that_contradicts_the_stream(simulator: Simulator) -> None:
    created, *_, final = events(simulator, "[[id-changes]]")
    assert created["response"]["id"] != final["response"]["id"]
    assert events(simulator, "[[empty-output]]")[-1]["response"]["output"] == []


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_usage_that_is_wrong(simulator: Simulator, stream: bool) -> None:
    def usage(script: str) -> Any:
        answer = send(simulator, script, stream=stream)
        return (answer.events()[-1]["response"] if stream else answer.json())["usage"]

    assert usage("[[no-usage]]") is None
    assert set(usage("[[bare-usage]]")) == {"input_tokens", "output_tokens", "total_tokens"}
    lies = usage("[[usage-lies]]")
    assert lies["input_tokens"] + lies["output_tokens"] != lies["total_tokens"]


def test_every_distortion_changes_the_stream_and_has_a_test_above(simulator: Simulator) -> None:
    usual = types(events(simulator, "[[text: Same.]]")), events(simulator, "[[text: Same.]]")[-1]["response"]["usage"]
    for name in DISTORTIONS:
        found = events(simulator, f"[[{name}]] [[text: Same.]]")
        assert [event["sequence_number"] for event in found] == list(range(len(found))), name
        same = (types(found), found[-1].get("response", {}).get("usage")) == usual
        assert not same or name in ("item-null", "id-rotation", "id-changes", "empty-output")


# -- what disagrees ---------------------------------------------------------------------------------


def texts(found: list[Json], ending: str = ".delta") -> list[Any]:
    """What the text events of one kind say."""
    key = {".delta": "delta", ".done": "text"}[ending]
    return [event[key] for event in found if event["type"] == f"response.output_text{ending}"]


def output_of(response: Json) -> str:
    return str(response["output"][-1]["content"][0]["text"])


def test_characters_cut_in_two(simulator: Simulator) -> None:
    wave = "[[text: Hi 🌊 there]]"  # a header would not hold it
    cut = events(simulator, "[[split-pairs]]", input=wave)
    assert texts(cut) == ["Hi", " \ud83c", "\udf0a", " there"]
    assert texts(cut, ".done") == ["Hi 🌊 there"] and output_of(cut[-1]["response"]) == "Hi 🌊 there"
    for stream in (True, False):
        answer = send(simulator, "[[lone-halves]]", stream=stream, input=wave)
        response = answer.events()[-1]["response"] if stream else answer.json()
        assert output_of(response) == "Hi \ud83c there"
    assert texts(events(simulator, "[[lone-halves]]", input=wave)) == ["Hi", " \ud83c", " there"]


def test_whole_texts_that_are_not_what_was_said(simulator: Simulator) -> None:
    said = ["One", " two", " three"]
    assert texts(events(simulator, "[[null-deltas]] [[text: One two three]]")) == ["One", None, " three"]
    for name, whole in (("other-done", "One tw...o three And more."), ("short-done", "One tw"), ("empty-done", "")):
        found = events(simulator, f"[[{name}]] [[text: One two three]]")
        assert (texts(found), texts(found, ".done")) == (said, [whole])
        assert output_of(found[-1]["response"]) == "One two three"
    found = events(simulator, "[[other-output]] [[text: One two three]]")
    assert (texts(found), texts(found, ".done")) == (said, ["One two three"])
    assert output_of(found[-1]["response"]) == "One tw...o three And more."


def test_server_that_keeps_nothing(simulator: Simulator) -> None:
    """It takes what it does not heed, and says so as it is told to."""

    def told(script: str, **body: Any) -> tuple[Json, Json]:
        created, *_, final = events(simulator, script, **body)
        return created["response"], final["response"]

    ignored = told("[[ignores-parent]]", previous_response_id="resp_of_nobody")
    assert [one["previous_response_id"] for one in ignored] == [None, None]
    for one in told("[[stores-nothing]]", store=True):
        assert one["store"] is False
        assert simulator.call("GET", f"/v1/responses/{one['id']}").status == 404
    parent = simulator.respond({"model": "gpt-5.5", "input": "Hello"}).json()["id"]
    assert [one["previous_response_id"] == parent for one in told("", previous_response_id=parent)] == [True, True]
    other = [one["previous_response_id"] for one in told("[[other-parent]]", previous_response_id=parent)]
    assert parent not in other and None not in other
    assert ["previous_response_id" in one for one in told("[[told-late]]")] == [False, True]
    assert ["store" in one for one in told("[[untold]]")] == [False, False]


def test_an_expired_response_is_no_parent(simulator: Simulator) -> None:
    made = simulator.respond({"model": "gpt-5.5", "input": "Hello"}).json()
    assert simulator.expire(made["id"]) == 1
    answer = simulator.respond({"model": "gpt-5.5", "input": "And?", "previous_response_id": made["id"]})
    assert answer.json()["error"]["code"] == "previous_response_not_found"


@pytest.mark.parametrize("script", ["[[error-midstream: boom It broke.]]", "[[fail-midstream: boom It broke.]]"])
def test_a_native_chat_stream_breaks_with_an_error_frame(simulator: Simulator, script: str) -> None:
    with OpenAI(base_url=simulator.base_url, api_key="k", max_retries=0) as client:
        messages: Any = [{"role": "user", "content": f"{script} Hello"}]
        with pytest.raises(openai.APIError) as raised:
            list(client.chat.completions.create(model="gpt-5", messages=messages, stream=True))
    assert (raised.value.code, raised.value.message) == ("boom", "It broke.")
