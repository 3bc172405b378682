"""Processes die while calls run: what Parley promises, and recovery without restarting the others.

See docs/architecture.md#guarantees.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import openai
import pytest

from tests.support.cluster import Cluster, running_cluster
from tests.support.queries import rows
from tests.support.samples import MODEL, user
from tests.support.wait import until

LONG = "[[words: 60]] [[pace: 20ms]]"  # an answer of some two seconds
WORDS = 60


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of this module's own; every test mends what it breaks."""
    environ = {"PARLEY_GRACE_SECONDS": "20", "PARLEY_ANALYTICS_LEASE_SECONDS": "2"}
    with running_cluster(tmp_path_factory.mktemp("breakable"), environ=environ) as cluster:
        yield cluster


@pytest.fixture
def asker(breakable: Cluster) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=breakable.base_url, api_key=f"sk-{uuid4()}", max_retries=0) as client:
        yield client


class Live:
    """A streamed answer that is being read in the background; `begun` once its first text is there."""

    def __init__(self, client: openai.OpenAI, text: str = LONG, **fields: Any) -> None:
        self.begun = threading.Event()
        self.request_id = ""
        self._pool = ThreadPoolExecutor(1)
        self._whole: Future[tuple[str, str | None]] = self._pool.submit(self._read, client, text, fields)

    def _read(self, client: openai.OpenAI, text: str, fields: dict[str, Any]) -> tuple[str, str | None]:
        try:
            raw = client.chat.completions.with_raw_response.create(
                model=MODEL, messages=[user(text)], stream=True, **fields
            )
            self.request_id = raw.headers["x-request-id"]
            read, finish = "", None
            for chunk in raw.parse():
                for choice in chunk.choices:
                    read += choice.delta.content or ""
                    finish = choice.finish_reason or finish
                if read:
                    self.begun.set()
            return read, finish
        finally:
            self.begun.set()

    def started(self) -> "Live":
        assert self.begun.wait(20)
        return self

    def whole(self) -> tuple[str, str | None]:
        """Return text and finish reason; raises what the client saw."""
        try:
            return self._whole.result(60)
        finally:
            self._pool.shutdown()


def ask(client: openai.OpenAI, text: str = "Hi", **fields: Any) -> str:
    answer = client.chat.completions.create(model=MODEL, messages=[user(text)], **fields)
    return answer.choices[0].message.content or ""


def survives(client: openai.OpenAI, break_it: Callable[[], None], **fields: Any) -> Live:
    """Break something while an answer is on its way; the answer must come whole."""
    live = Live(client, **fields).started()
    break_it()
    text, finish = live.whole()
    assert (len(text.split()), finish) == (WORDS, "stop")
    return live


def test_converter_killed_during_an_answer_does_not_touch_it(breakable: Cluster, asker: openai.OpenAI) -> None:
    survives(asker, breakable["converter"].kill)
    with pytest.raises(openai.InternalServerError) as caught:
        ask(asker)
    assert (caught.value.status_code, caught.value.code) == (503, "server_is_overloaded")
    assert caught.value.response.headers["retry-after"]
    assert not breakable["edge"].is_ready()
    assert asker.responses.create(model=MODEL, input="[[text: Still here.]]").output_text == "Still here."
    breakable["converter"].start()
    breakable["edge"].wait_ready()
    assert ask(asker)


def test_frozen_converter_is_left_for_another(breakable: Cluster, asker: openai.OpenAI) -> None:
    second = breakable.another("converter")
    second.start()
    breakable["converter"].send(signal.SIGSTOP)
    try:
        for _ in range(6):  # the queue group picks at random: some of these meet the frozen one first
            assert ask(asker)
    finally:
        breakable["converter"].send(signal.SIGCONT)
        second.stop()
    assert ask(asker)


def test_state_killed_during_an_answer_does_not_delay_it(breakable: Cluster, asker: openai.OpenAI) -> None:
    headers = {"x-parley-conversation": f"c-{uuid4()}"}
    survives(asker, breakable["state"].kill, extra_headers=headers)
    raw = asker.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[user("One"), {"role": "assistant", "content": "Two"}, user("Three")],
        extra_headers=headers,
    )
    assert raw.headers["x-parley-continuity"] == "none;reason=state_unavailable;matched=0;kept=no"
    assert raw.parse().choices[0].message.content
    breakable["state"].start()
    assert _continues(asker)


def test_state_keeps_conversations_over_its_death(breakable: Cluster, asker: openai.OpenAI) -> None:
    headers = {"x-parley-conversation": f"c-{uuid4()}"}
    text = ask(asker, "One", extra_headers=headers)
    breakable["state"].kill()
    breakable["state"].start()
    assert _continuity(asker, [user("One"), {"role": "assistant", "content": text}, user("Two")], headers) == "chain"


def test_analytics_killed_loses_no_record(breakable: Cluster, asker: openai.OpenAI) -> None:
    breakable["analytics"].kill()
    asked = [Live(asker, "Hi") for _ in range(5)]
    assert all(live.whole()[1] == "stop" for live in asked)
    breakable["analytics"].start()
    _recorded(breakable, {live.request_id: "ok" for live in asked})


def test_nats_killed_during_an_answer_does_not_touch_it(breakable: Cluster, asker: openai.OpenAI) -> None:
    live = survives(asker, breakable.nats.kill)
    with pytest.raises(openai.InternalServerError) as caught:
        ask(asker)
    assert caught.value.status_code == 503
    assert asker.responses.create(model=MODEL, input="[[text: Still here.]]").output_text == "Still here."
    breakable.nats.start()
    for name in ("converter", "state", "edge"):
        breakable[name].wait_ready()
    assert ask(asker)
    assert _continues(asker)
    _recorded(breakable, {live.request_id: "ok"})


def test_nats_that_comes_back_empty_is_filled_again(breakable: Cluster, asker: openai.OpenAI) -> None:
    headers = {"x-parley-conversation": f"c-{uuid4()}"}
    text = ask(asker, "One", extra_headers=headers)
    breakable.nats.kill()
    breakable.nats.wipe()
    breakable.nats.start()
    for name in ("converter", "state", "edge"):
        breakable[name].wait_ready()
    messages = [user("One"), {"role": "assistant", "content": text}, user("Two")]
    until(lambda: _continuity(asker, messages, headers) in ("none", "chain"), what="answers again")
    assert _continues(asker)
    live = Live(asker, "Hi")
    live.whole()
    _recorded(breakable, {live.request_id: "ok"})


def test_edge_killed_during_a_call_reports_it_as_lost(breakable: Cluster, asker: openai.OpenAI) -> None:
    live = Live(asker).started()
    breakable["edge"].kill()
    with pytest.raises(openai.OpenAIError):
        live.whole()
    breakable["edge"].start()
    breakable["edge"].wait_ready()
    _recorded(breakable, {live.request_id: "lost"})


def test_edge_told_to_stop_finishes_its_streams(breakable: Cluster, asker: openai.OpenAI) -> None:
    live = survives(asker, lambda: breakable["edge"].send(signal.SIGTERM))
    assert breakable["edge"].stop() == 0
    breakable["edge"].start()
    breakable["edge"].wait_ready()
    _recorded(breakable, {live.request_id: "ok"})


def test_edge_out_of_grace_ends_its_streams_with_an_error(breakable: Cluster, asker: openai.OpenAI) -> None:
    impatient = breakable.another("edge", {"PARLEY_GRACE_SECONDS": "0.5", "PARLEY_PORT": "0"})
    impatient.start()
    impatient.wait_ready()
    with openai.OpenAI(base_url=f"http://127.0.0.1:{impatient.port}/v1", api_key="sk-x", max_retries=0) as client:
        live = Live(client, "[[words: 500]] [[pace: 50ms]]").started()
        assert impatient.stop() == 0
        with pytest.raises(openai.APIError) as caught:
            live.whole()
    assert caught.value.code == "service_restarting"


def test_worker_told_to_stop_finishes_what_it_took(breakable: Cluster, asker: openai.OpenAI) -> None:
    second = breakable.another("converter")
    second.start()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, asker) for _ in range(40)]
        assert second.stop() == 0
        assert all(answer.result(30) for answer in answers)


def test_silence_of_the_upstream_is_bridged_by_comments_and_then_ended(
    breakable: Cluster, asker: openai.OpenAI
) -> None:
    watchful = breakable.another(
        "edge", {"PARLEY_KEEPALIVE_SECONDS": "1", "PARLEY_IDLE_TIMEOUT_SECONDS": "4", "PARLEY_PORT": "0"}
    )
    watchful.start()
    watchful.wait_ready()
    asked = [user("[[words: 20]] [[stall: 30s]]")]
    with (
        openai.OpenAI(base_url=f"http://127.0.0.1:{watchful.port}/v1", api_key="sk-x", max_retries=0) as client,
        client.chat.completions.with_streaming_response.create(model=MODEL, messages=asked, stream=True) as raw,
    ):
        lines = list(raw.iter_lines())
    watchful.stop()
    assert ": keep-alive" in lines
    assert '"code":"upstream_timeout"' in [line for line in lines if line][-1]
    assert "data: [DONE]" not in lines


# -- helpers ----------------------------------------------------------------------------------------


def _continuity(client: openai.OpenAI, messages: list[Any], headers: dict[str, str]) -> str:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=messages, extra_headers=headers)
    return raw.headers["x-parley-continuity"].partition(";")[0]


def _continues(client: openai.OpenAI) -> bool:
    """Whether a new conversation is kept and continued."""
    headers = {"x-parley-conversation": f"c-{uuid4()}"}
    text = ask(client, "One", extra_headers=headers)
    messages = [user("One"), {"role": "assistant", "content": text}, user("Two")]
    return _continuity(client, messages, headers) == "chain"


def _recorded(cluster: Cluster, outcomes: dict[str, str]) -> None:
    """Wait until the table holds exactly one row of each request, with its outcome."""
    wanted = ", ".join(f"'{request_id}'" for request_id in outcomes)
    sql = f"SELECT request_id, outcome FROM calls WHERE request_id IN ({wanted})"

    def there() -> bool:
        return sorted(map(tuple, rows(cluster.nats.url, sql))) == sorted(outcomes.items())

    until(there, seconds=40, what=f"rows {outcomes}")
