"""Processes restart, die and come in twos between turns: a conversation goes on, or goes plain, and never wrong."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import openai
import pytest

from tests.support.cluster import Cluster, Service, running_cluster
from tests.support.dialogue import Dialogue
from tests.support.redis import running_redis
from tests.support.samples import WEATHER_TOOL, tool_result, user


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of this module's own; every test mends what it breaks."""
    with running_cluster(tmp_path_factory.mktemp("continuity"), analytics=False) as cluster:
        yield cluster


@pytest.fixture
def asker(breakable: Cluster) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=breakable.base_url, api_key=f"sk-{uuid4()}", max_retries=0) as client:
        yield client


def restart(service: Service) -> None:
    service.stop()
    service.start()
    service.wait_ready()


def test_restart_of_every_process_between_turns(breakable: Cluster, asker: openai.OpenAI) -> None:
    named, nameless = Dialogue.named(asker, breakable), Dialogue(asker, breakable)
    for chat in (named, nameless):
        chat.say(user("Before"))
    for count, name in enumerate(("edge", "converter", "state"), 1):
        restart(breakable[name])
        for chat in (named, nameless):
            chat.say(user(f"After {name}"))
            assert chat.matched == count, chat.continuity
    breakable.nats.kill()
    breakable.nats.start()
    for service in breakable.services.values():
        service.wait_ready()
    for chat in (named, nameless):
        chat.say(user("After the bus"))
        assert chat.matched == 4, chat.continuity
    assert named.reason == "chain/matched"
    assert nameless.reason == "replay/matched"


def test_two_replicas_of_every_service_share_what_they_keep(breakable: Cluster, asker: openai.OpenAI) -> None:
    others = [breakable.another(name) for name in ("state", "converter")]
    edge = breakable.another("edge", {"PARLEY_PORT": "0"})
    for service in (*others, edge):
        service.start()
        service.wait_ready()
    try:
        second = openai.OpenAI(base_url=f"http://127.0.0.1:{edge.port}/v1", api_key=asker.api_key, max_retries=0)
        for name in (f"shared-{uuid4()}", None):
            chats = [Dialogue(client, breakable, name) for client in (asker, second)]
            history: list[object] = []
            for number in range(8):
                chat = chats[number % 2]
                chat.messages = history
                results = [tool_result(chat.call_ids()[0], f"{number}")] if number else []
                chat.say(*results, user(f"Weather {number}?"), tools=[WEATHER_TOOL])
                assert chat.matched == number, chat.continuity
                history = chat.messages
        second.close()
    finally:
        for service in (*others, edge):
            service.stop()


@pytest.mark.parametrize(("victim", "every_seconds"), [("state", 0.25), ("converter", 0.25), ("nats", 1.5)])
def test_killed_at_any_moment_never_continues_wrongly(
    breakable: Cluster, asker: openai.OpenAI, victim: str, every_seconds: float
) -> None:
    """A killer strikes while conversations run: each answer is there, and each request upstream is whole."""
    over = threading.Event()
    killed = breakable.nats if victim == "nats" else breakable[victim]

    def strike() -> None:
        while not over.wait(every_seconds):
            killed.kill()
            killed.start()

    killer = threading.Thread(target=strike)
    killer.start()
    asked = kept = 0
    try:
        began = time.monotonic()
        # A busy machine starts what was killed so slowly that few requests meet it alive.
        while (lasted := time.monotonic() - began) < 8 or (asked < 8 and lasted < 60):
            chat = Dialogue.named(asker, breakable) if asked % 2 else Dialogue(asker, breakable)
            for number in range(4):
                said = f"{uuid4()} {number}"
                if not answered(lambda chat=chat, said=said: chat.say(user(said))):  # type: ignore[misc]
                    break
                asked += 1
                kept += chat.matched > 0
                check_whole(chat)
    finally:
        over.set()
        killer.join()
    for service in breakable.services.values():
        service.wait_ready()
    assert asked >= 8 and kept


def answered(ask: Callable[[], object]) -> bool:
    """Whether an answer came; without a converter it is an honest 503."""
    try:
        ask()
    except openai.InternalServerError as error:
        assert error.status_code == 503
        return False
    return True


def check_whole(chat: Dialogue) -> None:
    """The upstream has all that the client shows, by itself or through the parent, and nothing else."""
    entry = chat.entry()
    texts = [message["content"] for message in chat.messages[:-1] if message["role"] == "user"]
    sent = [item["content"] for item in chat.upstream()["input"] if item.get("role") == "user"]
    assert sent == (texts[-1:] if entry["previous_response_id"] else texts)
    assert entry["status"] == 200


def test_bus_killed_between_turns_goes_on(breakable: Cluster, asker: openai.OpenAI) -> None:
    chat = Dialogue(asker, breakable)
    chat.say(user("One"))
    breakable.nats.kill()
    assert not answered(lambda: chat.say(user("Two")))
    breakable.nats.start()
    for service in breakable.services.values():
        service.wait_ready()
    chat.messages.pop()
    chat.say(user("Two"))
    assert chat.matched == 1


def test_bus_that_comes_back_empty_goes_plain(breakable: Cluster, asker: openai.OpenAI) -> None:
    chat = Dialogue(asker, breakable)
    chat.say(user("One"))
    breakable.nats.kill()
    breakable.nats.wipe()
    breakable.nats.start()
    for service in breakable.services.values():
        service.wait_ready()
    chat.say(user("Two"))
    assert chat.reason == "none/no_match"
    chat.say(user("Three"))
    assert chat.matched == 1


@pytest.mark.parametrize("store", ["redis", "memory"])
def test_other_stores_serve_a_cluster_too(tmp_path_factory: pytest.TempPathFactory, store: str) -> None:
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis(tmp_path_factory.mktemp("redis")))
        environ = {"PARLEY_STATE_STORE": store, "PARLEY_STATE_REDIS_URL": redis.url}
        directory = tmp_path_factory.mktemp(store)
        cluster = stack.enter_context(running_cluster(directory, environ=environ, analytics=False))
        client = stack.enter_context(openai.OpenAI(base_url=cluster.base_url, api_key="sk-x", max_retries=0))
        for chat in (Dialogue.named(client, cluster), Dialogue(client, cluster)):
            for number in range(3):
                chat.say(user(f"Question {number}"))
                assert chat.matched == number
