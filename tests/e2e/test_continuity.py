"""A client that echoes only standard fields gets the reasoning of a stateful conversation, and never anybody else's.

What the upstream received is read in the simulator's ledger; the simulator refuses an invalid sequence of items.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from tests.support.cluster import Cluster
from tests.support.dialogue import Dialogue
from tests.support.samples import MODEL, WEATHER_TOOL, tool_result, user
from tests.support.simulator import Json
from tests.support.wait import until

TOOLS: Any = [WEATHER_TOOL]
ROUNDS = 5


@pytest.fixture
def chat(client: openai.OpenAI, cluster: Cluster) -> Dialogue:
    """A conversation without a name."""
    return Dialogue(client, cluster)


def reasoning(entry: Json) -> list[str]:
    """The ids of the sealed reasoning that a request brought, in order."""
    found = [item for item in entry["items"] if item["type"] == "reasoning"]
    assert all(item["encrypted_content"] for item in found)
    return [item["id"] for item in found]


def calls_of(message: Json) -> list[Json]:
    calls: list[Json] = message["tool_calls"]
    return calls


# -- replay -----------------------------------------------------------------------------------------


def test_history_comes_back_with_its_reasoning_and_phase(chat: Dialogue) -> None:
    chat.say(user("[[commentary: Let me see.]] One"), model="gpt-5.4")
    chat.say(user("Two"), model="gpt-5.4")
    assert chat.continuity == "replay;reason=matched;matched=1"
    assert chat.shape() == ["user", "reasoning", "assistant", "assistant", "user"]
    assert [item.get("phase") for item in chat.entry()["items"]][2:4] == ["commentary", "final_answer"]
    assert chat.upstream()["store"] is False
    assert "reasoning.encrypted_content" in chat.upstream()["include"]


def test_every_turn_of_a_long_conversation_is_replayed(chat: Dialogue) -> None:
    for number in range(6):
        chat.say(user(f"Question {number}"))
    assert chat.continuity == "replay;reason=matched;matched=5"
    assert chat.shape() == ["user", "reasoning", "assistant"] * 5 + ["user"]


@pytest.mark.parametrize("named", [True, False])
def test_tool_loop_has_every_reasoning_item_before_its_call(
    client: openai.OpenAI, cluster: Cluster, named: bool
) -> None:
    # A name would chain: what is replayed can be seen where the client forbids to store.
    chat = Dialogue.named(client, cluster) if named else Dialogue(client, cluster)
    chat.say(user("Weather in Paris?"), tools=TOOLS, tool_choice="required", store=False)
    seen: list[str] = []
    for number in range(1, ROUNDS + 1):
        last = number == ROUNDS
        result = tool_result(chat.call_ids()[0], f"{number} degrees")
        chat.say(result, tools=TOOLS, tool_choice="none" if last else "required", store=False)
        sealed = reasoning(chat.entry())
        assert sealed[:-1] == seen and len(set(sealed)) == number, "the same reasoning, in order, and one more"
        seen = sealed
        assert chat.shape() == ["user", *["reasoning", "function_call", "function_call_output"] * number]
    assert chat.matched == ROUNDS
    assert "degrees" in chat.messages[-1]["content"]


def test_streamed_answers_are_kept_before_their_end(chat: Dialogue, client: openai.OpenAI) -> None:
    for number in range(3):
        chat.messages.append(user(f"Streamed {number}"))
        stream = client.chat.completions.create(model=MODEL, messages=chat.messages, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        chat.keep({"role": "assistant", "content": text})
    chat.say(user("Now whole"))
    assert chat.continuity == "replay;reason=matched;matched=3"


def test_typed_answers_are_kept_too(chat: Dialogue, client: openai.OpenAI) -> None:
    extra = {"parley": {"format": "responses"}}
    answer = client.post(
        "/chat/completions", body={"model": MODEL, "messages": [user("Typed")], **extra}, cast_to=object
    )
    assert isinstance(answer, dict)
    text = answer["output"][-1]["content"][0]["text"]
    chat.messages = [user("Typed"), {"role": "assistant", "content": text}]
    chat.say(user("Next"))
    assert chat.reason == "replay/matched"


def test_changing_system_prompt_is_replayed(chat: Dialogue) -> None:
    for number in range(4):
        chat.messages[:1] = [{"role": "system", "content": f"It is {number} o'clock."}]
        chat.say(user(f"Question {number}"), tools=TOOLS, tool_choice="none")
    assert chat.continuity == "replay;reason=matched;matched=3"


def test_edited_beginning_never_chains_and_keeps_the_later_reasoning(client: openai.OpenAI, cluster: Cluster) -> None:
    chat = Dialogue.named(client, cluster)
    for number in range(4):
        results = [tool_result(chat.call_ids()[0], f"{number} degrees")] if number else []
        chat.say(*results, user(f"Weather {number}?"), tools=TOOLS)
    chat.messages.append(tool_result(chat.call_ids()[0], "4 degrees"))
    chat.messages[2] = tool_result(chat.messages[2]["tool_call_id"], "edited")
    chat.say(user("So?"), tools=TOOLS)
    assert chat.reason == "replay/history_changed"
    assert chat.matched == 4
    assert "previous_response_id" not in chat.upstream()
    assert "edited" in json.dumps(chat.upstream()["input"])


@pytest.mark.parametrize("named", [True, False])
def test_edited_arguments_of_an_early_call_never_chain(client: openai.OpenAI, cluster: Cluster, named: bool) -> None:
    chat = Dialogue.named(client, cluster) if named else Dialogue(client, cluster)
    chat.say(user("Weather?"), tools=TOOLS)
    chat.say(tool_result(chat.call_ids()[0], "1"), user("More?"), tools=TOOLS)
    chat.say(tool_result(chat.call_ids()[0], "2"), user("More?"), tools=TOOLS)
    calls_of(chat.messages[1])[0]["function"]["arguments"] = '{"city": "Atlantis"}'
    chat.say(tool_result(chat.call_ids()[0], "3"), user("So?"), tools=TOOLS)
    assert "previous_response_id" not in chat.upstream()
    assert "Atlantis" in json.dumps(chat.upstream()["input"])
    assert chat.shape()[:3] == ["user", "function_call", "function_call_output"], "the edited turn goes plain"
    assert len(reasoning(chat.entry())) == 2


def thinned(arguments: str) -> str:
    return json.dumps({"city": json.loads(arguments)["city"]})


def respaced(arguments: str) -> str:
    return json.dumps(json.loads(arguments), indent=3, sort_keys=True)


@pytest.mark.parametrize("rewrite", [thinned, respaced])
@pytest.mark.parametrize("named", [True, False])
def test_rewritten_arguments_still_continue(
    client: openai.OpenAI, cluster: Cluster, named: bool, rewrite: Callable[[str], str]
) -> None:
    chat = Dialogue.named(client, cluster) if named else Dialogue(client, cluster)
    for number in range(3):
        results = [tool_result(chat.call_ids()[0], f"{number} degrees")] if number else []
        script = '{"x": 1.0, "city": "Z\\u00fcrich"}'
        chat.say(*results, user(f"[[call: get_weather {script}]] {number}"), tools=TOOLS)
        function = calls_of(chat.messages[-1])[0]["function"]
        function["arguments"] = rewrite(function["arguments"])
    chat.say(tool_result(chat.call_ids()[0], "9 degrees"), user("[[text: Done.]]"), tools=TOOLS)
    assert (chat.reason, chat.matched) == ("chain/matched" if named else "replay/matched", 3)
    if not named:
        assert '"x"' in chat.upstream()["input"][2]["arguments"], "the model's own arguments"


def test_trimmed_text_and_echoed_extras_still_match(chat: Dialogue) -> None:
    chat.say(user("[[text: An answer with an end. ]]"))
    chat.messages[-1]["content"] = [{"type": "text", "text": chat.messages[-1]["content"].rstrip() + "\n"}]
    chat.messages[-1] |= {"refusal": None, "annotations": [], "tool_calls": None, "reasoning_content": "mused"}
    chat.say(user("Next"))
    assert chat.reason == "replay/matched"


def test_reordered_parallel_results_still_match(chat: Dialogue) -> None:
    one, two = '{"city": "Paris"}', '{"city": "Rome"}'
    chat.say(user(f"[[call: get_weather {one}]] [[call: get_weather {two}]]"), tools=TOOLS)
    first, second = chat.call_ids()
    chat.say(tool_result(first, "1"), tool_result(second, "2"), tools=TOOLS)
    chat.messages[2:4] = chat.messages[3:1:-1]
    chat.say(user("Thanks"), tools=TOOLS)
    assert chat.continuity == "replay;reason=matched;matched=2"


def test_truncated_window_keeps_the_turns_it_shows(chat: Dialogue) -> None:
    for number in range(4):
        results = [tool_result(chat.call_ids()[0], f"{number} degrees")] if number else []
        chat.say(*results, user(f"Weather {number}?"), tools=TOOLS)
    chat.messages = chat.messages[3:]
    chat.say(tool_result(chat.call_ids()[0], "4"), user("So?"), tools=TOOLS)
    assert (chat.reason, chat.matched) == ("replay/matched", 3)


def test_truncated_text_goes_plain(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.messages[-1]["content"] = chat.messages[-1]["content"][:4]
    chat.say(user("Two"))
    assert chat.reason == "none/no_match"


def test_model_change_goes_plain_and_the_new_model_continues(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.say(user("Two"), model="gpt-5")
    assert chat.reason == "none/model_changed"
    chat.say(user("Three"), model="gpt-5")
    assert (chat.reason, chat.matched) == ("replay/matched", 1)


def test_several_choices_may_be_replayed_and_never_become_parents(client: openai.OpenAI, cluster: Cluster) -> None:
    chat = Dialogue.named(client, cluster)
    chat.messages.append(user("[[text: Pick one.]]"))
    headers = {"x-parley-conversation": chat.name or ""}
    answers = client.chat.completions.create(model=MODEL, messages=chat.messages, n=2, extra_headers=headers)
    chat.keep({"role": "assistant", "content": answers.choices[1].message.content})
    chat.say(user("Next"))
    assert chat.reason == "replay/not_a_parent"


def test_retain_none_keeps_nothing(chat: Dialogue) -> None:
    chat.say(user("One"), headers={"x-parley-retain": "none"})
    chat.say(user("Two"))
    assert chat.reason == "none/no_match"


def test_client_may_turn_it_off(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.say(user("Two"), headers={"x-parley-continuity": "off"})
    assert chat.reason == "none/off"


# -- apart ------------------------------------------------------------------------------------------


def test_two_conversations_of_one_tenant_with_the_same_call_id(client: openai.OpenAI, cluster: Cluster) -> None:
    output = '{"type":"function_call","id":"fc_%s","call_id":"call_0","name":"get_weather","arguments":"{}"}'
    chats = [Dialogue(client, cluster), Dialogue(client, cluster)]
    for name, chat in zip("ab", chats, strict=True):
        chat.say(user(f"[[thought: {name}]] [[output: {output % name}]] {name}?"), tools=TOOLS)
    for chat in chats:
        chat.say(tool_result("call_0", "1 degree"), tools=TOOLS)
        assert chat.reason in ("replay/matched", "none/nothing_kept")
    # Cut off from its beginning, a turn could be of either: it goes plain.
    lost = Dialogue(client, cluster)
    lost.messages = [user("Another beginning"), *chats[0].messages[1:2]]
    lost.say(tool_result("call_0", "1 degree"), tools=TOOLS)
    assert lost.reason == "none/no_match"


def test_end_users_with_the_same_greeting_keep_their_own_reasoning(client: openai.OpenAI, cluster: Cluster) -> None:
    sealed = []
    chats = [Dialogue(client, cluster), Dialogue(client, cluster)]
    for name, chat in zip("AB", chats, strict=True):
        chat.say({"role": "system", "content": f"You serve {name}."}, user("[[text: Hello!]] Hi"))
    for chat in chats:
        chat.say(user("Next"))
        assert chat.reason == "replay/matched"
        sealed.append(reasoning(chat.entry()))
    assert len(sealed[0]) == len(sealed[1]) == 1 and sealed[0] != sealed[1]


def test_same_history_of_another_tenant_or_account_or_end_user(client: openai.OpenAI, cluster: Cluster) -> None:
    chat = Dialogue(client, cluster)
    chat.say(user("One"))
    chat.say(user("Two"))
    with openai.OpenAI(base_url=cluster.base_url, api_key="sk-foreign", max_retries=0) as other:
        foreign = Dialogue(other, cluster)
        foreign.messages = list(chat.messages)
        foreign.say(user("Three"))
    assert foreign.reason == "none/no_match"
    moved = chat.fork()
    moved.say(user("Three"), headers={"openai-project": "proj_other"})
    assert moved.reason == "none/no_match"
    someone = chat.fork()
    someone.say(user("Three"), safety_identifier="someone")
    assert someone.reason == "none/no_match"
    chat.say(user("Three"))
    assert chat.matched == 2


def test_branches_at_the_same_time(client: openai.OpenAI, cluster: Cluster) -> None:
    for root in (Dialogue.named(client, cluster), Dialogue(client, cluster)):
        root.say(user("Root"))
        branches = [root.fork() for _ in range(4)]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda pair: pair[1].say(user(f"Branch {pair[0]}")), enumerate(branches)))
        for branch in branches:
            branch.say(user("Go on"))
            assert branch.matched == 2


def test_side_call_with_the_same_session_hint_does_not_disturb(client: openai.OpenAI, cluster: Cluster) -> None:
    hint = {"x-session-id": "session-1"}
    main, side = Dialogue(client, cluster, headers=hint), Dialogue(client, cluster, headers=hint)
    main.say({"role": "system", "content": "You plan."}, user("Plan"))
    side.say({"role": "system", "content": "You name things."}, user("Give this chat a title"))
    assert side.told != main.told
    main.say(user("Go on"))
    assert (main.reason, main.matched) == ("replay/matched", 1)


# -- names ------------------------------------------------------------------------------------------


def test_every_answer_names_its_conversation(chat: Dialogue) -> None:
    chat.say(user("One"))
    token = chat.told
    assert token.startswith("pc_")
    chat.say(user("Two"))
    assert chat.told == token
    chat.name = token
    chat.say(user("Three"))
    assert chat.told == token
    assert chat.upstream()["store"] is False, "a token that was issued changes nothing"


def test_query_and_body_name_a_conversation(client: openai.OpenAI, cluster: Cluster) -> None:
    first = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[user("One")], extra_query={"conversation_id": "by-query"}
    )
    assert first.headers["x-parley-conversation"] == "by-query"
    assert cluster.simulator.ledger()[-1]["store"] is True
    text = first.parse().choices[0].message.content
    history = [user("One"), {"role": "assistant", "content": text}, user("Two")]
    second = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=history, extra_body={"conversation": "by-query"}
    )
    assert second.headers["x-parley-continuity"] == "chain;reason=matched;matched=1"
    assert cluster.simulator.ledger()[-1]["conversation"] is None


def test_delta_goes_on_from_the_head_and_the_same_again_is_a_regeneration(
    client: openai.OpenAI, cluster: Cluster
) -> None:
    chat = Dialogue.named(client, cluster)
    delta = {"x-parley-history": "delta"}
    chat.say(user("One"))
    for number in range(3):
        parent = cluster.simulator.ledger()[-1]["response_id"]
        chat.ask([user(f"More {number}")], headers=delta)
        assert chat.reason == "chain/head"
        assert chat.upstream()["previous_response_id"] == parent
    before = chat.upstream()["previous_response_id"]
    chat.ask([user("More 2")], headers=delta)
    assert chat.reason == "chain/regenerated"
    assert chat.upstream()["previous_response_id"] == before
    regenerated = cluster.simulator.ledger()[-1]["response_id"]
    chat.ask([user("More 3")], headers=delta)
    assert chat.upstream()["previous_response_id"] == regenerated


def test_delta_answers_a_call(client: openai.OpenAI, cluster: Cluster) -> None:
    chat = Dialogue.named(client, cluster)
    chat.say(user("Weather?"), tools=TOOLS)
    answer = chat.ask(
        [tool_result(chat.call_ids()[0], "21 degrees")], headers={"x-parley-history": "delta"}, tools=TOOLS
    )
    assert "21 degrees" in answer["content"]


def test_delta_without_its_parent_is_refused_before_the_upstream(client: openai.OpenAI, cluster: Cluster) -> None:
    chat = Dialogue.named(client, cluster)
    number = cluster.simulator.ledger()[-1]["number"]
    with pytest.raises(openai.BadRequestError) as caught:
        chat.ask([user("More")], headers={"x-parley-history": "delta"})
    assert caught.value.code == "previous_response_not_found"
    assert cluster.simulator.ledger()[-1]["number"] == number


def test_delta_whose_parent_the_upstream_lost_is_refused_and_never_sent_alone(
    client: openai.OpenAI, cluster: Cluster
) -> None:
    chat = Dialogue.named(client, cluster)
    chat.say(user("One"))
    cluster.simulator.expire(chat.entry()["response_id"])
    with pytest.raises(openai.BadRequestError) as caught:
        chat.ask([user("More")], headers={"x-parley-history": "delta"})
    assert caught.value.code == "previous_response_not_found"
    refused = chat.entry()
    assert refused["previous_response_id"] is not None

    def is_gone() -> bool:  # the stale turn: from now on nothing is asked of the upstream
        with pytest.raises(openai.BadRequestError):
            chat.ask([user("More")], headers={"x-parley-history": "delta"})
        before, refused["number"] = refused["number"], chat.entry()["number"]
        return bool(before == refused["number"])

    until(is_gone, seconds=5, what="the stale turn gone")


def test_upstream_conversation_is_passed_on(client: openai.OpenAI, cluster: Cluster) -> None:
    made = client.conversations.create()
    chat = Dialogue(client, cluster, made.id)
    chat.ask([user("One")])
    chat.ask([user("Two")])
    assert (chat.told, chat.entry()["conversation"]) == (made.id, made.id)
    assert chat.shape() == ["user"]


def test_parent_by_completion_id(client: openai.OpenAI, cluster: Cluster) -> None:
    first = client.chat.completions.create(model=MODEL, messages=[user("One")], store=True)
    client.chat.completions.create(model=MODEL, messages=[user("Two")], extra_query={"previous_response_id": first.id})
    entries = cluster.simulator.ledger()
    assert entries[-1]["previous_response_id"] == entries[-2]["response_id"]


@pytest.mark.parametrize(
    "fields",
    [
        {"extra_headers": {"x-parley-conversation": "c"}, "extra_query": {"previous_response_id": "resp_1"}},
        {"extra_body": {"conversation": "conv_1", "previous_response_id": "resp_1"}},
        {"extra_headers": {"x-parley-conversation": "c"}, "extra_body": {"conversation": "d"}},
    ],
)
def test_two_names_are_refused(client: openai.OpenAI, fields: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=[user("Hi")], **fields)
    assert caught.value.code == "mutually_exclusive_parameters"


# -- fallback ---------------------------------------------------------------------------------------


def test_reasoning_that_the_upstream_cannot_read_goes_plain_once(chat: Dialogue, cluster: Cluster) -> None:
    chat.say(user("One"))
    refuse = "[[http: 400 invalid_encrypted_content The encrypted content could not be verified.]] [[times: 1 sealed]]"
    chat.say(user(f"{refuse} Two"))
    assert chat.reason == "none/plain_retry"
    assert [entry["status"] for entry in cluster.simulator.ledger()[-2:]] == [400, 200]
    chat.say(user("Three"))
    assert (chat.reason, chat.matched) == ("replay/matched", 1), "the stale entry is gone, the new one is there"


def test_withheld_reasoning_counts_as_a_failure(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.say(user("[[withhold: model_mismatch]] Two"))
    chat.say(user("Three"))
    assert chat.matched == 1


# -- what is held -----------------------------------------------------------------------------------


def test_owner_sees_and_erases_a_conversation(client: openai.OpenAI, cluster: Cluster) -> None:
    chat = Dialogue.named(client, cluster)
    chat.say(user("One"))
    chat.say(user("Two"))
    stored = chat.entry()["response_id"]
    listed: Any = client.get("/parley/conversations", cast_to=object)
    assert [each["id"] for each in listed["data"]] == [chat.name]
    shown: Any = client.get(f"/parley/conversations/{chat.name}", cast_to=object)
    assert shown["turns"] == 2
    with openai.OpenAI(base_url=cluster.base_url, api_key="sk-nosy", max_retries=0) as other:
        with pytest.raises(openai.NotFoundError):
            other.get(f"/parley/conversations/{chat.name}", cast_to=object)
        with pytest.raises(openai.NotFoundError):
            other.delete(f"/parley/conversations/{chat.name}", cast_to=object)
    erased: Any = client.delete(f"/parley/conversations/{chat.name}", cast_to=object)
    assert erased["deleted"] is True
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(stored)
    with pytest.raises(openai.NotFoundError):
        client.get(f"/parley/conversations/{chat.name}", cast_to=object)
    chat.say(user("Three"))
    assert chat.reason == "none/no_match"
