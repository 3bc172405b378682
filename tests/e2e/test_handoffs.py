"""Every decision on how a request goes on is told four times: in a header, a log line, a metric and a record."""

import json
import urllib.request
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import openai
import pytest

from libs.translate.continuity import deciding
from tests.support.cluster import Cluster
from tests.support.dialogue import Dialogue
from tests.support.queries import rows
from tests.support.samples import WEATHER_TOOL, tool_result, user
from tests.support.simulator import Json
from tests.support.wait import until

TOOLS: Any = [WEATHER_TOOL]
DELTA = {"x-parley-history": "delta"}
UNREASONED = "gpt-4o"  # a model without reasoning: of its answers nothing is worth keeping
# Told by the unit tests of the converter: a turn is gone from the store before it is too old, the state
# service would have to die, and what is not answered is refused by the translation, or with the delta. The edge alone
# tells that a conversation is busy, and upstreams of their own that they do not chain.
ELSEWHERE = {
    *(deciding.EXPIRED, deciding.STATE_UNAVAILABLE, deciding.UNANSWERED_CALLS),
    *(deciding.BUSY, deciding.UNCHAINED, deciding.REPLAY_ONLY),
}


def _matched(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.say(user("Two"))


def _first_turn(chat: Dialogue) -> None:
    chat.say(user("One"))


def _client_parent(chat: Dialogue) -> None:
    chat.say(user("One"), store=True)
    parent = chat.entry()["response_id"]
    chat.ask([user("Two")], extra_body={"previous_response_id": parent})


def _head(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.ask([user("Two")], headers=DELTA)


def _regenerated(chat: Dialogue) -> None:
    _head(chat)
    chat.ask([user("Two")], headers=DELTA)


def _off(chat: Dialogue) -> None:
    chat.say(user("One"), headers={"x-parley-continuity": "off"})


def _no_match(chat: Dialogue) -> None:
    chat.messages = [user("Never"), {"role": "assistant", "content": "seen"}]
    chat.say(user("Two"))


def _nothing_kept(chat: Dialogue) -> None:
    chat.say(user("Weather?"), tools=TOOLS, model=UNREASONED)
    chat.say(tool_result(chat.call_ids()[0], "1"), tools=TOOLS, model=UNREASONED)


def _plain_retry(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.say(user("[[http: 400 invalid_encrypted_content No.]] [[times: 1 told]] Two"))


def _choices(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.say(user("Two"), n=2)


def _store_false(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.say(user("Two"), store=False)


def _history_changed(chat: Dialogue) -> None:
    chat.say(user("Weather?"), tools=TOOLS)
    chat.messages[0] = user("Weather then?")
    chat.say(tool_result(chat.call_ids()[0], "1"), tools=TOOLS)


def _context_changed(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.say(user("Two"), tools=TOOLS, tool_choice="none")


def _arguments_changed(chat: Dialogue) -> None:
    chat.say(user("Weather?"), tools=TOOLS)
    chat.messages[-1]["tool_calls"][0]["function"]["arguments"] = '{"city": "Atlantis"}'
    chat.say(tool_result(chat.call_ids()[0], "1"), tools=TOOLS)


def _not_a_parent(chat: Dialogue) -> None:
    chat.say(user("[[length]] One"))
    chat.say(user("Two"))


def _model_changed(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.say(user("Two"), model="gpt-5")


def _nothing_new(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.ask(chat.messages)


# Whether the conversation has a name, what is said, and what is told of the last request.
CASES: list[tuple[bool, Callable[[Dialogue], None], str, str]] = [
    (True, _matched, "chain", deciding.MATCHED),
    (False, _matched, "replay", deciding.MATCHED),
    (True, _first_turn, "none", deciding.FIRST_TURN),
    (False, _client_parent, "none", deciding.CLIENT_PARENT),
    (True, _head, "chain", deciding.HEAD),
    (True, _regenerated, "chain", deciding.REGENERATED),
    (True, _off, "none", deciding.OFF),
    (False, _no_match, "none", deciding.NO_MATCH),
    (False, _nothing_kept, "none", deciding.NOTHING_KEPT),
    (False, _plain_retry, "none", deciding.PLAIN_RETRY),
    (True, _choices, "replay", deciding.CHOICES),
    (True, _store_false, "replay", deciding.STORE_FALSE),
    (True, _history_changed, "replay", deciding.HISTORY_CHANGED),
    (True, _context_changed, "replay", deciding.CONTEXT_CHANGED),
    (True, _arguments_changed, "none", deciding.ARGUMENTS_CHANGED),
    (True, _not_a_parent, "replay", deciding.NOT_A_PARENT),
    (True, _model_changed, "none", deciding.MODEL_CHANGED),
    (True, _nothing_new, "replay", deciding.NOTHING_NEW),
]


def _nobody(chat: Dialogue) -> None:
    """Nothing of the conversation is known."""


def _not_kept(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.say(user("Two"), headers={"x-parley-retain": "none"})


# What was said before a request that sends only what is new, what that says besides, and why it is refused.
REFUSED: list[tuple[Callable[[Dialogue], None], dict[str, str], str]] = [
    (_nobody, {}, deciding.NO_MATCH),
    (_not_kept, {}, deciding.OPEN_CALL),
    (_first_turn, {"x-parley-after": "chatcmpl-another"}, deciding.NOT_HEAD),
]


def test_every_reason_has_its_case() -> None:
    told = {reason for *_, reason in CASES} | {reason for *_, reason in REFUSED}
    assert told | ELSEWHERE == set(deciding.REASONS)


@pytest.mark.parametrize(("named", "talk", "mode", "reason"), CASES, ids=[f"{case[2]}-{case[3]}" for case in CASES])
def test_decision_is_told_in_header_log_metric_and_record(
    client: openai.OpenAI, cluster: Cluster, named: bool, talk: Callable[[Dialogue], None], mode: str, reason: str
) -> None:
    before = counted(cluster, mode, reason)
    chat = Dialogue.named(client, cluster) if named else Dialogue(client, cluster)
    chat = Dialogue(client, cluster, chat.name, {"x-session-id": "session-7"})
    talk(chat)
    assert chat.reason == f"{mode}/{reason}"
    line = until_logged(cluster, chat.request_id)[-1]
    assert (line["mode"], line["reason"], line["matched"]) == (mode, reason, chat.matched)
    assert line["new_items"] == len(chat.entry()["items"])
    assert counted(cluster, mode, reason) == before + 1
    assert recorded(cluster, chat.request_id, reason) == [mode, reason, chat.matched, chat.told, "session-7"]


@pytest.mark.parametrize(("talk", "headers", "reason"), REFUSED, ids=[case[2] for case in REFUSED])
def test_refused_delta_is_told_too(
    client: openai.OpenAI, cluster: Cluster, talk: Callable[[Dialogue], None], headers: dict[str, str], reason: str
) -> None:
    before = counted(cluster, "none", reason)
    name = f"refused-{uuid4()}"
    chat = Dialogue(client, cluster, name, {"x-session-id": "session-7"})
    talk(chat)
    with pytest.raises(openai.BadRequestError) as caught:
        chat.ask([user("More")], headers={**DELTA, **headers})
    request_id = caught.value.response.headers["x-request-id"]
    assert until_logged(cluster, request_id)[-1]["reason"] == reason
    assert counted(cluster, "none", reason) == before + 1
    assert recorded(cluster, request_id, reason) == ["none", reason, 0, name, "session-7"]


def recorded(cluster: Cluster, request_id: str, reason: str) -> list[Any]:
    """The row of a decision, once it is there."""
    found: list[list[Any]] = []
    sql = (
        "SELECT mode, reason, matched, conversation, session FROM handoffs "
        f"WHERE request_id = '{request_id}' AND reason = '{reason}'"
    )

    def there() -> bool:
        found[:] = rows(cluster.nats.url, sql)
        return bool(found)

    until(there, seconds=15, what="the record")
    assert len(found) == 1
    return found[0]


def until_logged(cluster: Cluster, request_id: str) -> list[Json]:
    """The `handoff` lines of a request, in order."""
    found: list[Json] = []

    def there() -> bool:
        lines = [json.loads(line) for line in cluster["converter"].logged().splitlines() if '"handoff"' in line]
        found[:] = [line for line in lines if line["request_id"] == request_id]
        return bool(found)

    until(there, seconds=5, what="the log line")
    return found


def counted(cluster: Cluster, mode: str, reason: str) -> float:
    """The converter's count of such decisions."""
    with urllib.request.urlopen(f"http://127.0.0.1:{cluster['converter'].port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    wanted = f'parley_continuity_total{{mode="{mode}",reason="{reason}"}} '
    return next((float(line.removeprefix(wanted)) for line in text.splitlines() if line.startswith(wanted)), 0.0)
