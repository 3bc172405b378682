from typing import Any

import msgspec
import pytest

from libs.schemas.bus import Turn
from libs.translate import chain
from tests.support.chats import USER, Json, assistant, calling, messages, system, tool, translated, user

TURN = Turn(response_id="resp_1", account="a", model="m", created=100, expires=200)
HISTORY = [system("x"), USER, assistant("b"), user("c")]


def _refusal(turns: list[Json], answer: int, *, model: str = "m", now: int = 150, **turn: Any) -> str | None:
    return chain.refusal(msgspec.structs.replace(TURN, **turn), answer, messages(*turns), model=model, now=now)


def test_a_known_answer_may_be_continued() -> None:
    assert _refusal(HISTORY, 2) is None


@pytest.mark.parametrize(("now", "reason"), [(199, None), (200, chain.EXPIRED), (201, chain.EXPIRED)])
def test_an_expired_answer_may_not(now: int, reason: str | None) -> None:
    assert _refusal(HISTORY, 2, now=now) == reason


def test_an_answer_of_another_model_may_not() -> None:
    assert _refusal(HISTORY, 2, model="other") == chain.MODEL_CHANGED


def test_an_answer_that_nothing_follows_may_not() -> None:
    assert _refusal(HISTORY[:3], 2) == chain.NOTHING_NEW


def test_a_call_without_result_may_not_be_continued() -> None:
    turns = [USER, calling("a", "b"), tool("a"), tool("b"), user("c")]
    assert _refusal(turns, 1, call_ids=["a", "b"]) is None
    assert _refusal(turns, 1, call_ids=["a", "b", "hidden"]) == chain.UNANSWERED_CALLS
    assert _refusal(HISTORY, 2, call_ids=["a"]) == chain.UNANSWERED_CALLS


def test_a_typed_result_answers_a_call_too() -> None:
    typed = {"type": "function_call_output", "call_id": "a", "output": "x"}
    approval = {"type": "mcp_approval_response", "approval_request_id": "m", "approve": True}
    assert _refusal([USER, calling("a", "m"), typed, approval], 1, call_ids=["a", "m"]) is None
    assert _refusal([USER, calling("a"), typed], 1, call_ids=["a", "m"]) == chain.UNANSWERED_CALLS


def test_every_reason_is_listed_once() -> None:
    codes = {value for name, value in vars(chain).items() if name.isupper() and isinstance(value, str)}
    assert codes == set(chain.REASONS) and len(chain.REASONS) == len(codes)


def test_a_chained_request_sends_what_follows_the_answer() -> None:
    made = translated(system("x"), user("a"), calling("c", content="Looking."), tool("c"), system("y"), user("b"))
    body, sources = chain.chained(made.body, made.input, TURN, 2)
    sent = msgspec.to_builtins(body)
    assert [item.get("role", item["type"]) for item in sent["input"]] == ["function_call_output", "system", "user"]
    assert (sent["previous_response_id"], sent["instructions"], sources) == ("resp_1", "x", [3, 4, 5])


def test_a_chained_request_changes_nothing_else() -> None:
    made = translated(*HISTORY, temperature=0.5)
    before, after = (
        msgspec.to_builtins(body) for body in (made.body, chain.chained(made.body, made.input, TURN, 2)[0])
    )
    assert {key for key in {**before, **after} if before.get(key) != after.get(key)} == {
        "input",
        "previous_response_id",
    }
