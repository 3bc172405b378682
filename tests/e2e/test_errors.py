"""Every error is OpenAI's envelope with all four keys, whoever is at fault."""

import base64
import http.client
import json
from collections.abc import Mapping
from typing import Any

import openai
import pytest

from tests.support.cluster import Cluster
from tests.support.samples import MODEL, user

CHAT = "/v1/chat/completions"
KEY = {"authorization": "Bearer sk-errors", "content-type": "application/json"}


def send(
    cluster: Cluster, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = KEY
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", cluster["edge"].port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def refused(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, str | None, str | None]:
    """Return status, param and code of a refusal, after checking its envelope."""
    status, headers, body = answer
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"] and error["type"]
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    return status, error["param"], error["code"]


def chat(**fields: Any) -> bytes:
    return json.dumps({"model": MODEL, "messages": [user("Hi")], **fields}).encode()


DEEP = b'{"model": "m", "messages": ' + b"[" * 200_000
MALFORMED = {
    "not JSON": (b"{", None, None),
    "empty": (b"", None, None),
    "not UTF-8": (b'{"model": "\xff"}', None, None),
    "not an object": (b"[1]", None, None),
    "endless nesting": (DEEP, None, None),
    "endless nesting of an unknown field": (b'{"model": "m", "x": ' + b"[" * 200_000, None, None),
    "no model": (b'{"messages": []}', "model", "missing_required_parameter"),
    "empty model": (chat(model=""), "model", "missing_required_parameter"),
    "no messages": (b'{"model": "m"}', "messages", "missing_required_parameter"),
    "empty messages": (chat(messages=[]), "messages", "empty_array"),
    "messages of another type": (chat(messages="hi"), "messages", "invalid_type"),
    "stream of another type": (chat(stream="yes"), "stream", "invalid_type"),
    "temperature of another type": (chat(temperature="hot"), "temperature", "invalid_type"),
    "content of another type": (chat(messages=[{"role": "user", "content": 5}]), "messages[0].content", "invalid_type"),
    "no role": (chat(messages=[{"content": "x"}]), "messages[0].role", "missing_required_parameter"),
    "unknown role": (
        chat(messages=[user("a"), {"role": "robot", "content": "x"}]),
        "messages[1].role",
        "invalid_value",
    ),
    "unknown part": (
        chat(messages=[{"role": "user", "content": [{"type": "video_url"}]}]),
        "messages[0].content[0].type",
        "invalid_value",
    ),
    "image for the system": (
        chat(messages=[{"role": "system", "content": [{"type": "image_url", "image_url": "x"}]}, user("a")]),
        "messages[0].content[0].type",
        "invalid_value",
    ),
    "result without a call": (
        chat(messages=[{"role": "tool", "tool_call_id": "c", "content": "x"}]),
        "messages[0].role",
        None,
    ),
    "unknown tool type": (chat(tools=[{"type": "rocket"}]), "tools[0].type", "invalid_value"),
    "tool without a function": (chat(tools=[{"type": "function"}]), "tools[0].function", "missing_required_parameter"),
    "choice without tools": (chat(tool_choice="required"), "tool_choice", None),
    "too many answers": (chat(n=9), "n", "integer_above_max_value"),
    "too many stop words": (chat(stop=["."] * 5), "stop", "array_above_max_length"),
    "banned tokens": (chat(logit_bias={"1": -100}), "logit_bias", "unsupported_parameter"),
    "answer in the background": (chat(background=True), "background", "unsupported_parameter"),
    "two parents": (
        chat(previous_response_id="resp_1", conversation="conv_1"),
        "previous_response_id",
        "mutually_exclusive_parameters",
    ),
    "tool that chat has no calls for": (chat(tools=[{"type": "computer"}]), "tools[0].type", "unsupported_value"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_request_is_refused_with_its_param(cluster: Cluster, case: str) -> None:
    body, param, code = MALFORMED[case]
    received = cluster.simulator.ledger()
    assert refused(send(cluster, "POST", CHAT, body)) == (400, param, code)
    assert cluster.simulator.ledger() == received  # nothing went upstream


def test_refused_request_leaves_one_line_without_its_text(cluster: Cluster) -> None:
    before = cluster["edge"].logged()
    body = chat(messages=[user("my secret"), {"role": "robot", "content": "my secret"}])
    _, headers, _ = send(cluster, "POST", CHAT, body)
    [line] = cluster["edge"].logged().removeprefix(before).splitlines()
    told = json.loads(line)
    assert (told["event"], told["status"], told["param"]) == ("refused", 400, "messages[1].role")
    assert told["request_id"] == headers["x-request-id"]
    assert "secret" not in line


def test_missing_key_is_refused(cluster: Cluster) -> None:
    assert refused(send(cluster, "POST", CHAT, chat(), {})) == (401, None, "invalid_api_key")
    assert refused(send(cluster, "GET", "/v1/models", None, {})) == (401, None, "invalid_api_key")
    assert refused(send(cluster, "POST", "/v1/responses", b"{}", {})) == (401, None, "invalid_api_key")


def test_key_in_another_scheme_is_refused(cluster: Cluster) -> None:
    headers = {"authorization": "Basic c2s6"}
    assert refused(send(cluster, "POST", CHAT, chat(), headers)) == (401, None, "invalid_api_key")


def test_unknown_path_is_refused(cluster: Cluster) -> None:
    assert refused(send(cluster, "GET", "/v2/models")) == (404, None, None)


def test_unknown_path_below_v1_gets_the_answer_of_the_upstream(cluster: Cluster) -> None:
    status, headers, body = send(cluster, "GET", "/v1/nonsense")
    assert status == 404
    assert "Invalid URL" in json.loads(body)["error"]["message"]
    assert headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", CHAT), ("PUT", "/v1/responses"), ("POST", "/v1/models"), ("POST", "/healthz")]
)
def test_wrong_method_is_refused(cluster: Cluster, method: str, path: str) -> None:
    answer = send(cluster, method, path, b"{}")
    assert refused(answer) == (405, None, "method_not_allowed")
    assert answer[1]["allow"]


def test_body_over_the_limit_is_refused_before_it_is_read(cluster: Cluster) -> None:
    headers = {**KEY, "content-length": str(10**9)}
    connection = http.client.HTTPConnection("127.0.0.1", cluster["edge"].port, timeout=30)
    connection.putrequest("POST", CHAT)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["error"]["code"] == "request_too_large"
    connection.close()


def test_text_over_the_limit_of_the_bus_is_refused(cluster: Cluster) -> None:
    text = "many words " * 1_000_000
    assert refused(send(cluster, "POST", CHAT, chat(messages=[user(text)]))) == (413, None, "request_too_large")
    # It fits as it comes, and not once it is converted.
    many = [user("x")] * 170_000
    assert refused(send(cluster, "POST", CHAT, chat(messages=many))) == (413, None, "request_too_large")
    assert send(cluster, "POST", CHAT, chat())[0] == 200


def test_name_of_a_model_that_fits_no_message_is_no_fault_of_the_cluster(cluster: Cluster) -> None:
    body = json.dumps({"model": "m" * 7_000_000, "messages": [user("x")]}).encode()
    assert refused(send(cluster, "POST", CHAT, body)) == (413, None, "request_too_large")


@pytest.mark.parametrize("stream", [False, True])
def test_upstream_refusal_keeps_status_and_retry_headers(cluster: Cluster, stream: bool) -> None:
    answer = send(cluster, "POST", CHAT, chat(messages=[user("[[http: 429]]")], stream=stream))
    assert refused(answer)[0] == 429
    assert answer[1]["retry-after"]
    assert answer[1]["x-ratelimit-limit-requests"]
    assert answer[1]["x-upstream-request-id"] != answer[1]["x-request-id"]


@pytest.mark.parametrize("stream", [False, True])
def test_failure_before_any_output_is_a_status(client: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(
            model=MODEL, messages=[user("[[fail: server_error The model fell over.]]")], stream=stream
        )
    assert caught.value.code == "server_error"
    assert "The model fell over." in caught.value.message


def test_failure_in_the_middle_raises_and_is_never_a_finish(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model=MODEL, messages=[user("[[error-midstream]]")], stream=True)
    finishes = []
    with pytest.raises(openai.APIError):
        for chunk in stream:
            finishes += [choice.finish_reason for choice in chunk.choices]
    assert finishes and set(finishes) == {None}


def test_answer_that_breaks_off_raises_and_is_never_a_finish(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model=MODEL, messages=[user("[[words: 50]] [[cut]]")], stream=True)
    finishes = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in stream:
            finishes += [choice.finish_reason for choice in chunk.choices]
    assert caught.value.code == "upstream_stream_truncated"
    assert finishes and set(finishes) == {None}


def test_error_frame_holds_what_the_upstream_said(cluster: Cluster) -> None:
    body = chat(messages=[user("[[error-midstream: server_error It fell over.]]")], stream=True)
    _, _, got = send(cluster, "POST", CHAT, body)
    frame = json.loads(got.strip().split(b"\n\n")[-1].removeprefix(b"data: "))
    told = json.loads(base64.urlsafe_b64decode(frame["x-parley-upstream-error"]))
    assert "It fell over." in frame["error"]["message"] and "It fell over." in str(told)


def test_error_status_holds_what_the_upstream_said(cluster: Cluster) -> None:
    for text, kept in (("[[http: 429]]", b"rate_limit_exceeded"), ("[[fail: server_error No.]]", b"response.failed")):
        _, headers, _ = send(cluster, "POST", CHAT, chat(messages=[user(text)], stream=True))
        assert kept in base64.urlsafe_b64decode(headers["x-parley-upstream-error"])
