"""A conversation with a name continues: what is new goes up, and a miss is never an error."""

from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from tests.support.cluster import Cluster
from tests.support.dialogue import Dialogue
from tests.support.samples import MODEL, WEATHER_TOOL, tool_result, user


@pytest.fixture
def chat(client: openai.OpenAI, cluster: Cluster) -> Dialogue:
    return Dialogue.named(client, cluster)


def test_second_turn_sends_what_is_new_and_names_its_parent(chat: Dialogue) -> None:
    chat.say({"role": "system", "content": "Be kind."}, user("One"))
    assert chat.upstream()["store"] is True
    assert "previous_response_id" not in chat.upstream()
    chat.say(user("Two"))
    second = chat.upstream()
    assert second["previous_response_id"].startswith("resp_")
    assert [item["content"] for item in second["input"]] == ["Two"]
    assert second["instructions"] == "Be kind."
    assert chat.continuity == "chain;reason=matched;matched=1"


def test_streamed_turns_continue_too(chat: Dialogue, client: openai.OpenAI, cluster: Cluster) -> None:
    headers = {"x-parley-conversation": chat.name or ""}
    stream = client.chat.completions.create(
        model=MODEL, messages=[user("[[text: Streamed answer.]]")], stream=True, extra_headers=headers
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    # At once: the turn was kept before the finish chunk was released.
    chat.messages = [user("[[text: Streamed answer.]]"), {"role": "assistant", "content": text}]
    chat.say(user("Next"))
    assert chat.continuity == "chain;reason=matched;matched=1"


def test_tool_results_continue_the_call(chat: Dialogue) -> None:
    chat.say(user("Weather in Paris?"), tools=[WEATHER_TOOL])
    call_id = chat.messages[-1]["tool_calls"][0]["id"]
    answer = chat.say(tool_result(call_id, "21 degrees"), tools=[WEATHER_TOOL])
    assert "21 degrees" in answer
    assert [item["type"] for item in chat.upstream()["input"]] == ["function_call_output"]


def test_changed_system_prompt_is_replayed(chat: Dialogue) -> None:
    chat.say({"role": "system", "content": "It is nine."}, user("One"))
    chat.messages[0] = {"role": "system", "content": "It is ten."}
    chat.say(user("Two"))
    assert chat.reason == "replay/context_changed"
    assert chat.upstream()["instructions"] == "It is ten."
    assert chat.shape() == ["user", "reasoning", "assistant", "user"]


def test_edited_history_goes_plain(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.say(user("Two"))
    chat.messages[0] = user("Another one")
    chat.say(user("Three"))
    assert chat.continuity == "none;reason=no_match;matched=0"
    assert len(chat.upstream()["input"]) == 5


def test_regeneration_continues_the_turn_before(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.say(user("Two"))
    first_try = chat.upstream()
    del chat.messages[-2:]
    chat.say(user("Two"))
    assert chat.upstream()["previous_response_id"] == first_try["previous_response_id"]


def test_branches_at_the_same_time_both_continue(chat: Dialogue, client: openai.OpenAI, cluster: Cluster) -> None:
    chat.say(user("One"))
    branches = [Dialogue(client, cluster, chat.name) for _ in range(4)]
    for branch in branches:
        branch.messages = list(chat.messages)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda pair: pair[1].say(user(f"Branch {pair[0]}")), enumerate(branches)))
    for branch in branches:
        branch.say(user("Go on"))
        assert branch.continuity == "chain;reason=matched;matched=2"


def test_turn_that_the_upstream_lost_goes_plain_and_is_no_error(chat: Dialogue, client: openai.OpenAI) -> None:
    chat.say(user("One"))
    chat.say(user("Two"))
    client.responses.delete(chat.upstream()["previous_response_id"])
    parent = [entry["response_id"] for entry in chat._cluster.simulator.ledger() if entry["response_id"]][-1]
    client.responses.delete(parent)
    assert "Three" in chat.say(user("Three"))
    assert chat.continuity == "none;reason=plain_retry;matched=0"
    assert len(chat.upstream()["input"]) == 5
    chat.say(user("Four"))
    assert chat.continuity == "chain;reason=matched;matched=3"


def test_store_false_of_the_client_wins_and_means_replay(chat: Dialogue) -> None:
    chat.say(user("One"), store=False)
    assert chat.upstream()["store"] is False
    assert chat.reason == "none/first_turn"
    chat.say(user("Two"), store=False)
    assert chat.reason == "replay/store_false"
    chat.say(user("Three"))
    assert chat.reason == "replay/not_a_parent"
    assert chat.upstream()["store"] is True
    chat.say(user("Four"))
    assert chat.reason == "chain/matched"


def test_other_model_goes_plain(chat: Dialogue) -> None:
    chat.say(user("One"))
    chat.say(user("Two"), model="gpt-5")
    assert chat.continuity == "none;reason=model_changed;matched=0"


def test_cut_answer_never_becomes_a_parent(chat: Dialogue) -> None:
    chat.say(user("[[length]]"))
    chat.say(user("Two"))
    assert chat.reason == "replay/not_a_parent"


def test_same_words_of_another_tenant_never_meet(chat: Dialogue, cluster: Cluster) -> None:
    chat.say(user("One"))
    with openai.OpenAI(base_url=cluster.base_url, api_key="sk-somebody-else", max_retries=0) as other:
        theirs = Dialogue(other, cluster, chat.name)
        theirs.messages = list(chat.messages)
        theirs.say(user("Two"))
    assert theirs.continuity == "none;reason=no_match;matched=0"


def test_end_users_of_one_key_never_meet(chat: Dialogue, client: openai.OpenAI, cluster: Cluster) -> None:
    chat.say(user("One"), safety_identifier="ann")
    theirs = Dialogue(client, cluster, chat.name)
    theirs.messages = list(chat.messages)
    theirs.say(user("Two"), safety_identifier="bob")
    assert theirs.continuity == "none;reason=no_match;matched=0"


def test_unnamed_history_is_not_stored_upstream(client: openai.OpenAI, cluster: Cluster) -> None:
    chat = Dialogue(client, cluster)
    chat.say(user("Nameless"))
    assert chat.reason == "none/first_turn"
    assert chat.upstream()["store"] is False


def test_name_that_is_too_long_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model=MODEL, messages=[user("Hi")], extra_headers={"x-parley-conversation": "n" * 513}
        )
    assert caught.value.param == "x-parley-conversation"
