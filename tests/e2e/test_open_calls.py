"""A call of a conversation is under way, was cut, or is forgotten: what is new never follows an older turn."""

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import openai
import pytest

from tests.support.cluster import Cluster, Service, running_cluster
from tests.support.dialogue import Dialogue
from tests.support.samples import MODEL, WEATHER_TOOL, tool_result, user
from tests.support.simulator import started_simulator
from tests.support.wait import until

DELTA = {"x-parley-history": "delta"}
SLOW = "[[words: 60]] [[pace: 20ms]]"  # more than a second


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of this module's own; every test mends what it breaks."""
    with running_cluster(tmp_path_factory.mktemp("open"), analytics=False) as cluster:
        yield cluster


@pytest.fixture
def asker(breakable: Cluster) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=breakable.base_url, api_key=f"sk-{uuid4()}", max_retries=0) as client:
        yield client


@pytest.fixture
def chat(breakable: Cluster, asker: openai.OpenAI) -> Dialogue:
    """A named conversation with one answer."""
    made = Dialogue.named(asker, breakable)
    made.say(user("One"))
    return made


def stream(chat: Dialogue, text: str, client: openai.OpenAI, **headers: str) -> "openai.Stream[Any]":
    """Ask in the conversation, only what is new, and begin to read."""
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[user(text)],
        stream=True,
        extra_headers={"x-parley-conversation": chat.name or "", **DELTA, **headers},
    )
    next(iter(answer))
    return answer


def new(chat: Dialogue, text: str, **headers: str) -> str:
    """Ask only what is new; return the id of the response that it followed."""
    chat.ask([user(text)], headers={**DELTA, **headers})
    return str(chat.entry()["previous_response_id"])


def newest(chat: Dialogue) -> str:
    return str(chat.entry()["response_id"])


def test_what_is_new_waits_for_the_answer_under_way(chat: Dialogue, asker: openai.OpenAI) -> None:
    under_way = stream(chat, SLOW, asker)
    second = newest(chat)
    reader = threading.Thread(target=lambda: list(under_way))
    reader.start()
    assert new(chat, "Three") == second
    reader.join()


def test_answer_that_takes_longer_is_told_as_busy(chat: Dialogue, asker: openai.OpenAI) -> None:
    under_way = stream(chat, "[[words: 300]] [[pace: 20ms]]", asker)
    second, started = newest(chat), time.monotonic()
    with pytest.raises(openai.ConflictError) as busy:
        new(chat, "Three")
    assert 1.8 < time.monotonic() - started < 4
    assert busy.value.code == "conversation_busy"
    headers = busy.value.response.headers
    assert (headers["retry-after"], headers["x-should-retry"]) == ("1", "true")
    list(under_way)
    assert new(chat, "Three") == second


def test_retries_of_the_sdk_end_in_the_answer(breakable: Cluster, chat: Dialogue, asker: openai.OpenAI) -> None:
    under_way = stream(chat, "[[words: 150]] [[pace: 20ms]]", asker)
    second = newest(chat)
    reader = threading.Thread(target=lambda: list(under_way))
    reader.start()
    patient = Dialogue(asker.with_options(max_retries=3), breakable, chat.name)
    assert new(patient, "Three") == second
    reader.join()


def test_same_question_meanwhile_is_a_repetition(chat: Dialogue, asker: openai.OpenAI) -> None:
    first, under_way = newest(chat), stream(chat, SLOW, asker)
    assert new(chat, SLOW) == first
    assert chat.reason == "chain/regenerated"
    third = newest(chat)
    list(under_way)
    assert new(chat, "Four") == third  # the first try ended later, and began earlier


def test_client_that_leaves_mid_stream_must_send_its_whole_history(chat: Dialogue, asker: openai.OpenAI) -> None:
    stream(chat, "[[words: 300]] [[pace: 20ms]]", asker).close()
    deadline = time.monotonic() + 10
    while True:
        try:
            new(chat, "Three")
        except openai.ConflictError:  # the edge has not seen yet that the client left
            assert time.monotonic() < deadline
        except openai.BadRequestError as refused:
            assert refused.code == "previous_response_not_found"
            break
        else:
            raise AssertionError("followed an older turn")
    chat.say(user("Three"))
    third = newest(chat)
    assert new(chat, "Four") == third


def test_client_that_says_what_it_saw_last_waits_for_nothing(chat: Dialogue, asker: openai.OpenAI) -> None:
    first = newest(chat)
    stream(chat, "[[words: 300]] [[pace: 20ms]]", asker).close()
    seen = "chatcmpl-" + first.removeprefix("resp_")
    with pytest.raises(openai.BadRequestError) as refused:
        new(chat, "Three", **{"x-parley-after": "chatcmpl-another"})
    assert refused.value.code == "previous_response_not_found"
    assert new(chat, "Three", **{"x-parley-after": seen}) == first


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("failure", ["[[http: 429]]", "[[fail: server_error No.]]"])
def test_call_that_fails_before_any_output_leaves_nothing_in_the_way(
    chat: Dialogue, asker: openai.OpenAI, failure: str, streamed: bool
) -> None:
    first = newest(chat)
    with pytest.raises(openai.APIStatusError):
        stream(chat, failure, asker) if streamed else new(chat, failure)
    assert new(chat, "Two") == first


@pytest.mark.parametrize("failure", ["[[words: 50]] [[cut]]", "[[error-midstream]]"])
def test_call_that_fails_after_some_output_asks_for_the_whole_history(
    chat: Dialogue, asker: openai.OpenAI, failure: str
) -> None:
    with pytest.raises(openai.APIError):
        list(stream(chat, failure, asker))
    with pytest.raises(openai.BadRequestError) as refused:
        new(chat, "Three")
    assert refused.value.code == "previous_response_not_found"
    chat.say(user("Three"))
    third = newest(chat)
    assert new(chat, "Four") == third


def test_answer_that_is_not_kept_is_not_skipped(chat: Dialogue) -> None:
    chat.say(user("Two"), headers={"x-parley-retain": "none"})
    with pytest.raises(openai.BadRequestError) as refused:
        new(chat, "Three")
    assert refused.value.code == "previous_response_not_found"
    chat.say(user("Three"))
    third = newest(chat)
    assert new(chat, "Four") == third


def test_result_of_a_call_never_made_is_refused_before_the_upstream(breakable: Cluster, chat: Dialogue) -> None:
    breakable.simulator.clear_ledger()
    with pytest.raises(openai.BadRequestError) as refused:
        chat.ask([user("Two"), tool_result("call_other", "x")], headers=DELTA, tools=[WEATHER_TOOL])
    assert (refused.value.param, breakable.simulator.ledger()) == ("messages[1].tool_call_id", [])


def test_another_edge_goes_on_after_one_died(breakable: Cluster, chat: Dialogue, asker: openai.OpenAI) -> None:
    first, edge = newest(chat), breakable.another("edge", {"PARLEY_PORT": "0"})
    edge.start()
    edge.wait_ready()
    url = f"http://127.0.0.1:{edge.port}/v1"
    with openai.OpenAI(base_url=url, api_key=asker.api_key, max_retries=0) as dying:
        stream(chat, SLOW, dying)
        edge.kill()
    with pytest.raises(openai.ConflictError):
        new(chat, "Another question")
    assert new(chat, SLOW) == first
    assert chat.reason == "chain/regenerated"
    second = newest(chat)
    assert new(chat, "Three") == second


# -- turns that the upstream's own chat endpoint answers ---------------------------------------------

# A field that only chat has, of which the policy below asks for chat's endpoint.
SEED = {"seed": 7}


@pytest.fixture(scope="module")
def bypassing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose upstream answers some models itself."""
    directory = tmp_path_factory.mktemp("bypass")
    with started_simulator() as simulator:
        config = directory / "parley.toml"
        config.write_text(
            f'[[upstream]]\nname = "one"\nbase_url = "{simulator.base_url}"\nauth = "client"\n'
            'policies = { seed = "native" }\nmodel_rules = [{ match = "gpt-4o-mini", bridge = "bypass" }]\n'
        )
        with running_cluster(directory, environ={"PARLEY_CONFIG": str(config)}, analytics=False) as cluster:
            yield cluster


@pytest.mark.parametrize("fields", [{"model": "gpt-4o-mini"}, SEED], ids=["bypass", "native"])
def test_turn_that_the_chat_endpoint_answered_is_not_skipped(bypassing: Cluster, fields: dict[str, Any]) -> None:
    with openai.OpenAI(base_url=bypassing.base_url, api_key=f"sk-{uuid4()}", max_retries=0) as client:
        name = {"x-parley-conversation": f"test-{uuid4()}"}

        def ask(messages: list[Any], more: dict[str, Any] | None = None, *, delta: bool = False) -> None:
            headers = {**name, **(DELTA if delta else {})}
            client.chat.completions.create(
                **{"model": MODEL, "messages": messages, "extra_headers": headers, **(more or {})}
            )

        history = [user("One"), {"role": "assistant", "content": "Two"}, user("Three")]
        ask(history[:1])
        with pytest.raises(openai.BadRequestError) as alone:
            ask([user("Two")], fields, delta=True)
        assert (alone.value.code, alone.value.param) == ("previous_response_not_found", "previous_response_id")
        ask(history, fields)
        with pytest.raises(openai.BadRequestError) as refused:
            ask([user("Four")], delta=True)
        assert refused.value.code == "previous_response_not_found"
        ask([*history, {"role": "assistant", "content": "x"}, user("Four")])
        ask([user("Five")], delta=True)


# -- without the state service ----------------------------------------------------------------------


@pytest.fixture
def state(breakable: Cluster) -> Iterator[Service]:
    """The state service, which a test may stop from going on."""
    service = breakable["state"]
    yield service
    service.send(signal.SIGCONT)
    service.wait_ready()


def test_whole_history_is_served_and_told_that_it_is_not_kept(chat: Dialogue, state: Service) -> None:
    state.send(signal.SIGSTOP)
    chat.say(user("Two"))
    assert not chat.kept and chat.reason == "none/state_unavailable"
    state.send(signal.SIGCONT)
    chat.say(user("Three"))
    assert chat.kept
    third = newest(chat)
    assert new(chat, "Four") == third


def test_delta_is_not_served_without_the_state_service(chat: Dialogue, state: Service) -> None:
    first = newest(chat)
    state.send(signal.SIGSTOP)
    with pytest.raises(openai.InternalServerError) as refused:
        new(chat, "Two")
    assert refused.value.status_code == 503
    assert refused.value.response.headers["retry-after"]
    state.send(signal.SIGCONT)
    assert new(chat, "Two") == first


def test_what_follows_an_answer_that_ended_meanwhile_waits_for_it(
    chat: Dialogue, asker: openai.OpenAI, state: Service
) -> None:
    under_way = stream(chat, SLOW, asker)
    second = newest(chat)
    state.send(signal.SIGSTOP)
    assert [chunk.choices[0].finish_reason for chunk in under_way if chunk.choices][-1] == "stop"
    time.sleep(6)
    state.send(signal.SIGCONT)
    deadline = time.monotonic() + 20
    while True:
        try:
            assert new(chat, "Three") == second
            break
        except (openai.ConflictError, openai.InternalServerError):
            assert time.monotonic() < deadline


def test_late_answer_does_not_revive_a_deleted_conversation(
    breakable: Cluster, chat: Dialogue, asker: openai.OpenAI
) -> None:
    path = f"/parley/conversations/{chat.name}"
    under_way = stream(chat, SLOW, asker)
    second = newest(chat)
    assert asker.delete(path, cast_to=dict[str, Any])["deleted"]
    list(under_way)
    stored = f"/v1/responses/{second}"
    until(lambda: breakable.simulator.call("GET", stored, key=asker.api_key).status == 404, what="no response upstream")
    for show in (asker.get, asker.delete):
        with pytest.raises(openai.NotFoundError):
            show(path, cast_to=dict[str, Any])
    with pytest.raises(openai.BadRequestError):
        new(chat, "Three")
    chat.messages.clear()
    chat.say(user("Anew"))
    for number in range(3):
        last = newest(chat)
        assert new(chat, f"{number}") == last
