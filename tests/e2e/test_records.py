"""One record per model call, from both surfaces, reaches ClickHouse; the bus carries no media."""

import base64
import os
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import nats
import openai
import pytest
from nats.aio.msg import Msg

from libs.runtime.bus import Bus
from libs.runtime.call import BusContext
from libs.schemas.bus.query import QueryReply, QueryRequest
from libs.schemas.config import Nats
from libs.schemas.subjects import QUERY
from tests.support.cluster import Cluster
from tests.support.poll import eventually
from tests.support.queries import decoded
from tests.support.samples import MODEL, WEATHER_TOOL, user


class Records:
    """Reads the table as an operator does: through the running cluster."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def of(self, request_id: str | None) -> list[dict[str, Any]]:
        """Return the rows of one request."""
        sql = f"SELECT * FROM calls WHERE request_id = '{request_id}' ORDER BY ts"
        reply = await self._bus.call(QUERY, QueryRequest(sql=sql), BusContext())
        assert isinstance(reply, QueryReply), reply
        return [dict(zip(reply.columns, row, strict=True)) for row in decoded(reply)]

    async def one(self, request_id: str | None) -> dict[str, Any]:
        """Return the only row of one request, once it is there."""

        async def there() -> bool:
            return bool(await self.of(request_id))

        await eventually(there, seconds=30, what="the record")
        [row] = await self.of(request_id)
        return row


@pytest.fixture
async def records(cluster: Cluster) -> AsyncIterator[Records]:
    bus = await Bus.connect(Nats(url=cluster.nats.url), "test")
    yield Records(bus)
    await bus.drain(1)


async def test_chat_call_is_recorded_with_its_tokens(client: openai.OpenAI, records: Records) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=[user("Weather in Paris?")], tools=[WEATHER_TOOL])
    row = await records.one(completion._request_id)
    usage = completion.usage
    assert usage and usage.prompt_tokens_details and usage.completion_tokens_details
    assert (row["surface"], row["streamed"], row["outcome"]) == ("chat", False, "ok")
    assert (row["model_requested"], row["model"], row["upstream"]) == (MODEL, completion.model, "openai")
    assert (row["input_tokens"], row["output_tokens"]) == (usage.prompt_tokens, usage.completion_tokens)
    assert row["cached_tokens"] == usage.prompt_tokens_details.cached_tokens
    assert row["reasoning_tokens"] == usage.completion_tokens_details.reasoning_tokens
    assert (row["finish_reason"], row["tool_calls"]) == ("tool_calls", 1)
    assert 0 < row["ttft_ms"] <= row["duration_ms"]


async def test_streamed_call_is_recorded_though_no_usage_was_asked_for(client: openai.OpenAI, records: Records) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=[user("Hi")], stream=True)
    for _ in raw.parse():
        pass
    row = await records.one(raw.headers["x-request-id"])
    assert (row["surface"], row["streamed"], row["outcome"], row["finish_reason"]) == ("chat", True, "ok", "stop")
    assert row["output_tokens"] > 0 and row["reasoning_tokens"] > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_responses_call_is_recorded_alike(client: openai.OpenAI, records: Records, stream: bool) -> None:
    raw = client.responses.with_raw_response.create(model=MODEL, input="Hi", stream=stream)
    list(raw.parse()) if stream else raw.parse()
    row = await records.one(raw.headers["x-request-id"])
    assert (row["surface"], row["streamed"], row["outcome"]) == ("responses", stream, "ok")
    assert row["output_tokens"] > 0 and row["response_id"].startswith("resp_")


async def test_refused_call_is_recorded_with_its_code(client: openai.OpenAI, records: Records) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=MODEL, messages=[user("[[http: 429]]")])
    row = await records.one(caught.value.request_id)
    assert (row["outcome"], row["http_status"], row["error_code"]) == ("refused", 429, "rate_limit_exceeded")


async def test_call_that_the_client_left_is_recorded_as_cancelled(
    client: openai.OpenAI, records: Records, cluster: Cluster
) -> None:
    mark = uuid4().hex
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[user(f"{mark} [[words: 500]] [[pace: 20ms]]")], stream=True
    )
    stream = raw.parse()
    next(iter(stream))
    stream.close()
    row = await records.one(raw.headers["x-request-id"])
    assert row["outcome"] == "cancelled"
    assert row["response_id"].startswith("resp_")

    async def upstream_closed() -> bool:
        entries = [entry for entry in cluster.simulator.ledger() if mark in str(entry["body"])]
        return bool(entries[-1]["disconnected"])

    await eventually(upstream_closed, what="the upstream call closed")


async def test_conversation_and_parent_are_recorded(client: openai.OpenAI, records: Records) -> None:
    name = f"records-{uuid4()}"
    headers = {"x-parley-conversation": name}
    first = client.chat.completions.create(model=MODEL, messages=[user("One")], extra_headers=headers)
    messages: Any = [user("One"), first.choices[0].message, user("Two")]
    second = client.chat.completions.create(model=MODEL, messages=messages, extra_headers=headers)
    parent, child = await records.one(first._request_id), await records.one(second._request_id)
    assert (child["conversation"], child["previous_response_id"]) == (name, parent["response_id"])


async def test_no_image_crosses_the_bus(client: openai.OpenAI, cluster: Cluster) -> None:
    sizes: list[int] = []

    async def seen(msg: Msg) -> None:
        sizes.append(len(msg.data))

    listener = await nats.connect(cluster.nats.url)
    await listener.subscribe(">", cb=seen)
    await listener.flush()
    url = "data:image/png;base64," + base64.b64encode(os.urandom(3_000_000)).decode()
    content = [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": url}}]
    asked: Any = {"role": "user", "content": content}
    answer = client.chat.completions.create(model=MODEL, messages=[asked])
    assert "1 image with 3000000 bytes" in (answer.choices[0].message.content or "")
    await listener.flush()
    assert sizes and max(sizes) < 10_000
    await listener.close()


async def test_no_secret_of_a_tool_crosses_the_bus(client: openai.OpenAI, cluster: Cluster) -> None:
    seen: list[bytes] = []

    async def note(msg: Msg) -> None:
        seen.append(msg.data)

    listener = await nats.connect(cluster.nats.url)
    await listener.subscribe(">", cb=note)
    await listener.flush()
    tool: Any = {
        "type": "mcp",
        "server_label": "s",
        "server_url": "https://s.example/mcp",
        "authorization": "token-of-ann",
        "headers": {"X-Key": "key-of-ann"},
        "require_approval": "never",
    }
    client.chat.completions.create(model=MODEL, messages=[user("[[text: Hi.]]")], tools=[tool])
    sent = cluster.simulator.ledger()[-1]["body"]["tools"][0]
    assert (sent["authorization"], sent["headers"]) == ("token-of-ann", {"X-Key": "key-of-ann"})
    await listener.flush()
    assert seen and not any(b"-of-ann" in data for data in seen)
    await listener.close()


async def test_trace_of_the_caller_reaches_record_and_upstream(
    client: openai.OpenAI, records: Records, cluster: Cluster
) -> None:
    trace_id = uuid4().hex
    answer = client.chat.completions.create(
        model=MODEL, messages=[user("Hi")], extra_headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    )
    assert trace_id in cluster.simulator.ledger()[-1]["headers"]["traceparent"]
    assert (await records.one(answer._request_id))["trace_id"] == trace_id
