"""A chat client that has a long conversation with an agent, one call after the other."""

import http.client
import json
from typing import Any

from tests.bench.requests import Model, Request, chat_body, to_json, tool_result, user_message

ANSWER_BYTES = 1700  # of the original items of an answer, beyond what a client echoes of it


def conversation(port: int, model: Model, messages: int, name: str = "") -> str:
    """Return a history of `messages` messages, or one more, all answers of which Parley has given, as JSON.

    Of six messages two are answers with a call, one is an answer without. Fails where Parley did not go on
    from its last answer, as it should: by chaining in the conversation `name`, by replay without one.
    """
    wanted = "chain;reason=matched" if name else "replay;reason=matched"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    history: list[dict[str, Any]] = [user_message()]
    told = wanted
    while len(history) < messages:
        answer, told = _answer(connection, model, history, name)
        assert len(history) == 1 or told.startswith(wanted), told
        calls = answer.get("tool_calls", [])
        history += [answer, tool_result(calls[0]["id"]) if calls else user_message()]
    connection.close()
    return to_json(history).decode()


def answers_in(messages: int) -> int:
    """Return how many answers a history of so many messages holds."""
    return messages // 2


def _answer(
    connection: http.client.HTTPConnection, model: Model, history: list[dict[str, Any]], name: str
) -> tuple[dict[str, Any], str]:
    """Return the assistant message that a client makes of the stream, and how Parley went on."""
    request = Request(surface="chat", model=model, conversation=name)
    connection.request("POST", "/v1/chat/completions", chat_body(model, to_json(history)), request.headers())
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, body
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    for line in body.splitlines():
        if line.startswith(b"data: {"):
            for choice in json.loads(line[6:])["choices"]:
                _add(message, choice["delta"])
    return message, response.headers["x-parley-continuity"]


def _add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    message["content"] += delta.get("content") or ""
    for part in delta.get("tool_calls", []):
        calls = message.setdefault("tool_calls", [])
        if "id" in part:
            calls.append({"id": part["id"], "type": "function", "function": {**part["function"]}})
        else:
            calls[-1]["function"]["arguments"] += part["function"]["arguments"]
