"""Unchanged clients, each in its own environment and with its own code, against the whole cluster.

Each test is about what a user of the client sees; the last ones are about what went upstream for it.
"""

import json
import re
from collections.abc import Callable
from itertools import groupby, pairwise
from typing import Any

import pytest

from tests.clients.clients import CLIENTS, Client
from tests.clients.environments import SHARED
from tests.clients.runs import Ran
from tests.support.simulator import Json

TEXTS: Json = json.loads((SHARED / "scenarios.json").read_text(encoding="utf-8"))
ANSWER = "Zürich lies by a lake 🌍, as ever."
PERSON = {"name": "Ada Lovelace", "born": 1}
CALLS = [
    ["get_weather", {"city": "Paris"}],
    ["get_weather", {"city": "Zürich"}],
    ["get_population", {"city": "Paris", "year": 2020}],
    ["get_weather", {"city": "Oslo"}],
]
RESULTS = ["Paris: 21 degrees", "Zürich: 21 degrees", "Paris in 2020: 2145906 people", "Oslo: 21 degrees"]
ANSWERS = ["The tool returned: Paris in 2020: 2145906 people", "Let me look."]
ENDS = ["tool_calls", "tool_calls", "stop", "tool_calls", "stop"]
CONTINUITY = [f"replay;reason=matched;matched={turns}" for turns in range(1, 5)]
MADE = {"reasoning", "function_call"}  # by the model, besides messages
# A text of the first request by scenario; how many earlier answers each request has, where not one more each time.
FIRST: dict[str, str] = {
    "tools": TEXTS["tools"],
    "stream_tools": TEXTS["tools"],
    "continued": TEXTS["continued"][0],
    "stream_continued": TEXTS["continued"][0],
    "asked_again": "must be looked up again",
    "asked_by_tool": TEXTS["asked_by_tool"],
}
TURNS = {"asked_again": [1], "asked_by_tool": [0, 1, 1]}  # it forgets the answer that did not pass
ERRORS = {
    "bad_request": ("The prompt was refused.", 400, "invalid_prompt"),
    "rate_limited": ("Rate limit reached for requests.", 429, "rate_limit_exceeded"),
    "broken_stream": ("The server had an error.", None, "server_error"),
}


def able(*scenarios: str) -> Callable[[Any], Any]:
    """Run a test once for each client and each of the scenarios it can do."""
    found = [(client, scenario) for client in CLIENTS for scenario in scenarios if scenario in client.scenarios]
    return pytest.mark.parametrize("ran", found, ids=_id, indirect=True)


def _id(pair: tuple[Client, str]) -> str:
    client, scenario = pair
    return f"{client.id}-{scenario}"


every_client = pytest.mark.parametrize("ran", [(client, "upstream") for client in CLIENTS], ids=_id, indirect=True)


@pytest.fixture
def scenario(request: pytest.FixtureRequest) -> str:
    """The scenario of the test's `ran`."""
    name: str = request.node.callspec.params["ran"][1]
    return name


@able("answer")
def test_answer_is_whole(ran: Ran) -> None:
    told = ran.told("answer")
    assert told["text"] == ANSWER
    assert set(told) == {"text", *ran.client.shows}
    assert told.get("finish", "stop") == "stop"
    if "usage" in told:
        prompt, completion, *total = told["usage"]
        assert prompt > 0 and completion > 192  # of which the simulator thinks 192
        assert total in ([], [prompt + completion])


@able("stream")
def test_streamed_answer_is_the_same_in_pieces(ran: Ran) -> None:
    told = dict(ran.told("stream"))
    assert told.pop("pieces", 2) > 1
    whole = ran.told("answer")
    assert told == {key: whole[key] for key in told}
    assert told["text"] == ANSWER


@able("tools", "stream_tools")
def test_tools_are_called_in_three_rounds(ran: Ran, scenario: str) -> None:
    told = ran.told(scenario)
    assert sorted(map(str, told["calls"])) == sorted(map(str, CALLS))  # some run those of a round at the same time
    assert told["texts"] == ANSWERS
    assert [end.replace("-", "_") for end in told.get("finishes", ENDS)] == ENDS


@able("continued", "stream_continued")
def test_conversation_goes_on_under_other_prompts_and_tools(ran: Ran, scenario: str) -> None:
    told = ran.told(scenario)
    count, *texts = told["texts"]
    assert count.endswith("2145906 people") and texts == ["Let me see.", "You are welcome."]
    # Where the client shows its user the headers.
    continuity = told.get("continuity", ["", *CONTINUITY])
    assert continuity[1:] == CONTINUITY


@able("structured", "structured_native", "structured_as_json", "stream_structured")
def test_answer_is_an_object(ran: Ran, scenario: str) -> None:
    assert ran.told(scenario) == PERSON


@able("asked_again")
def test_an_answer_that_does_not_pass_is_asked_for_again(ran: Ran) -> None:
    assert ran.told("asked_again") == {"tries": [1, 1]}
    again = ran.sent("must be looked up again")
    assert len(again) == 1 and TEXTS["structured"] in str(again)


@able("asked_by_tool")
def test_a_call_that_does_not_pass_is_asked_for_again(ran: Ran) -> None:
    assert ran.told("asked_by_tool") == {"tries": [1, 1]}


@able("reasoning", "stream_reasoning")
def test_reasoning_is_shown_beside_the_answer(ran: Ran, scenario: str) -> None:
    assert ran.told(scenario) == {"reasoning": "I look up.\n\nNo clouds.", "text": "Blue."}


@able("bad_request", "rate_limited", "broken_stream")
def test_error_is_of_the_clients_own_class(ran: Ran, scenario: str) -> None:
    told = ran.told(scenario)
    message, status, code = ERRORS[scenario]
    assert told["class"] == ran.client.errors[scenario]
    assert message in told["message"]
    if status is not None:
        assert told.get("status", status) == status
    # LiteLLM gives the status where others give the code.
    assert told.get("code") in (None, code, str(status))


@every_client
def test_the_version_is_the_pinned_one(ran: Ran) -> None:
    assert ran.report["version"] == ran.client.pinned


# -- upstream ---------------------------------------------------------------------------------------


@every_client
def test_every_call_went_through_the_responses_api(ran: Ran) -> None:
    assert {(entry["method"], entry["path"]) for entry in ran.upstream} == {("POST", "/v1/responses")}
    for body in (entry["body"] for entry in ran.upstream):
        assert body["store"] is False
        assert body["include"] == ["reasoning.encrypted_content"]
        assert "messages" not in body and body["input"]
        assert all(isinstance(tool["strict"], bool) for tool in body.get("tools", ()))


@able("answer")
def test_system_message_went_up_as_instructions(ran: Ran) -> None:
    whole = ran.sent(TEXTS["answer"], stream=False)
    streamed = ran.sent(TEXTS["answer"], stream=True)
    assert len(whole) == 1 and len(streamed) == ("stream" in ran.client.scenarios)
    for body in (*whole, *streamed):
        assert body["instructions"] == TEXTS["system"]
        assert [item["role"] for item in body["input"]] == ["user"]


@able("tools", "stream_tools")
def test_history_went_up_as_items(ran: Ran, scenario: str) -> None:
    bodies = ran.sent(TEXTS["tools"], stream=scenario == "stream_tools")
    assert len(bodies) == len(ENDS)
    items = bodies[-1]["input"]
    calls = [item for item in items if item["type"] == "function_call"]
    outputs = [item for item in items if item["type"] == "function_call_output"]
    said = [(item["role"], item["content"]) for item in items if item["type"] == "message"]
    assert [role for role, _ in said] == ["user", "assistant", "user", "assistant"]
    assert ANSWERS[0] in str(said[1]) and ANSWERS[1] in str(said[3])
    assert [[call["name"], json.loads(call["arguments"])] for call in calls] == CALLS
    assert [output["output"] for output in outputs] == RESULTS
    assert [output["call_id"] for output in outputs] == [call["call_id"] for call in calls]
    assert {tool["name"] for tool in bodies[-1]["tools"]} == {"get_weather", "get_population"}
    assert all("function" not in tool for tool in bodies[-1]["tools"])


@able("tools", "stream_tools", "continued", "stream_continued", "asked_again", "asked_by_tool")
def test_every_later_request_brought_the_reasoning_of_the_earlier_answers(ran: Ran, scenario: str) -> None:
    entries = ran.entries(FIRST[scenario], stream=scenario.startswith("stream_"))
    brought = [turns(entry["items"]) for entry in entries]
    assert [len(found) for found in brought] == TURNS.get(scenario, [0, 1, 2, 3, 4])
    for entry, found in zip(entries, brought, strict=True):
        assert (entry["status"], entry["rule"], entry["store"]) == (200, None, False)
        assert entry["include"] == ["reasoning.encrypted_content"] and entry["previous_response_id"] is None
        # The simulator refuses reasoning that is not sealed for the account, and an item that is not the one after it.
        for thought, *rest in found:
            assert thought["type"] == "reasoning" and thought["encrypted_content"]
            assert rest and all(item["type"] != "reasoning" and item["id"] for item in rest)
    # What was brought once is brought again as it was.
    if scenario not in TURNS:
        assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(brought))


@able("continued", "stream_continued")
def test_calls_went_up_as_the_model_wrote_them(ran: Ran, scenario: str) -> None:
    bodies = ran.sent(FIRST[scenario], stream=scenario == "stream_continued")
    sent = [item["arguments"] for item in bodies[-1]["input"] if item["type"] == "function_call"]
    assert sent == re.findall(r"\[\[call: \w+ (.*?)\]\]", " ".join(TEXTS["continued"]))


@able("continued", "stream_continued")
def test_prompt_and_tools_changed(ran: Ran, scenario: str) -> None:
    bodies = ran.sent(FIRST[scenario], stream=scenario == "stream_continued")
    one, two, three = TEXTS["systems"]
    told = [body["instructions"] for body in bodies]
    assert told == ([one, one, two, two, three] if ran.client.changes_prompt else [one] * 5)
    offered = [len(body["tools"]) for body in bodies]
    assert offered == [2, 2, 1, 1, 1] or (ran.client.changes_prompt, scenario) == (False, "stream_continued")


def turns(items: list[Json]) -> list[list[Json]]:
    """What a request brought of each earlier answer."""
    runs = groupby(items, key=lambda item: item.get("role") == "assistant" or item["type"] in MADE)
    return [list(run) for made, run in runs if made]


@able("structured_native")
def test_schema_went_up_as_text_format(ran: Ran) -> None:
    format = next(body["text"]["format"] for body in ran.sent(TEXTS["structured"]) if "text" in body)
    assert format["type"] == "json_schema" and isinstance(format["strict"], bool)
    assert set(format["schema"]["properties"]) == set(PERSON)
