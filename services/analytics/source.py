"""The records stream as the consumer sees it: every message once, in order, from any sequence on.

JetStream delivers at least once and in no promised order: messages lost on the way come again later,
behind newer ones. So deliveries are counted, and a gap means a fresh start at the last known place.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RawStreamMsg
from nats.js.errors import NotFoundError

from libs.runtime.jetstream import ensure_stream
from libs.runtime.logs import Log
from libs.schemas.subjects import DEAD_REASON_HEADER, DEAD_RECORDS, RECORDS, RECORDS_DURABLE, REPUBLISHED_HEADER
from services.analytics.rows import Stored

NATS_ERRORS = (NatsError, OSError, TimeoutError)
ACK_WAIT_SECONDS = 60.0
MAX_ACK_PENDING = 65_536  # far over any batch: the server must never hold back what we ask for
READS_AT_ONCE = 64
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STREAM = RECORDS.name
_DEAD_SUBJECT = DEAD_RECORDS.subjects[0]

log = Log("parley.analytics.source")


class Gap(Exception):
    """A delivery was lost on the way; restart."""


class Source:
    """Reads the records stream through its durable consumer. All methods raise NATS_ERRORS."""

    def __init__(self, js: JetStreamContext, replicas: int) -> None:
        self._js = js
        self._replicas = replicas
        self._subscription: JetStreamContext.PullSubscription | None = None
        self._delivered = 0
        self._next_seq = 0
        self._last: Msg | None = None
        self.waiting = 0  # messages in the stream that were not delivered yet
        self.first_seq = 0  # of the stream, when it was opened
        self.last_seq = 0

    async def open(self) -> str:
        """Make the streams if they are not there; return the epoch, which tells this stream from any other."""
        for stream in (RECORDS, DEAD_RECORDS):
            await ensure_stream(self._js, stream, self._replicas)
        info = await self._js.stream_info(_STREAM)
        if info.created is None:
            raise NatsError("the server does not tell when the stream was made")
        self.first_seq, self.last_seq = info.state.first_seq, info.state.last_seq
        return info.created.isoformat()

    async def restart(self, next_seq: int) -> None:
        """Deliver from `next_seq` on, whatever was delivered before."""
        await self.close()
        await self._reset(next_seq)
        self._delivered, self._next_seq, self._last = 0, next_seq, None
        # A new inbox: nothing that was sent to the old one may be counted.
        self._subscription = await self._js.pull_subscribe_bind(consumer=RECORDS_DURABLE, stream=_STREAM)

    async def _reset(self, next_seq: int) -> None:
        # Not the server's reset: it needs 2.14, and says nothing where there is no such consumer.
        with suppress(NotFoundError):
            await self._js.delete_consumer(_STREAM, RECORDS_DURABLE)
        await self._js.add_consumer(
            _STREAM,
            ConsumerConfig(
                durable_name=RECORDS_DURABLE,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=next_seq,
                ack_policy=AckPolicy.ALL,
                ack_wait=ACK_WAIT_SECONDS,
                max_ack_pending=MAX_ACK_PENDING,
            ),
        )

    async def fetch(self, limit: int, timeout_seconds: float) -> list[Stored]:
        """Return the next messages, at most `limit`, in order; none when none come in time. Raises Gap."""
        if self._subscription is None:
            raise Gap("not started")
        try:
            msgs = await self._subscription.fetch(limit, timeout=max(timeout_seconds, 0.01))
        except TimeoutError:
            return []
        fresh = []
        for msg in msgs:
            at = msg.metadata
            self._delivered += 1
            if at.sequence.consumer != self._delivered:
                raise Gap(f"delivery {self._delivered} came as {at.sequence.consumer}")
            self._last = msg
            self.waiting = at.num_pending
            if at.sequence.stream >= self._next_seq:  # else it came again after an acknowledgement was lost
                self._next_seq = at.sequence.stream + 1
                fresh.append(_stored(at.sequence.stream, _delivered_ms(msg), msg.data, msg.headers))
        return fresh

    async def ack(self) -> None:
        """Acknowledge all that was fetched. When that is lost, messages come again and are skipped."""
        if self._last is not None:
            await self._last.ack()

    async def read(self, first: int, last: int) -> tuple[list[Stored], int]:
        """Return the messages of a range, and how many of its sequences the stream does not have."""
        found: list[Stored] = []
        for start in range(first, last + 1, READS_AT_ONCE):
            part = range(start, min(start + READS_AT_ONCE, last + 1))
            found += [stored for stored in await asyncio.gather(*map(self._read_one, part)) if stored is not None]
        return found, last - first + 1 - len(found)

    async def _read_one(self, seq: int) -> Stored | None:
        try:
            msg = await self._js.get_msg(_STREAM, seq, direct=True)
        except NotFoundError:
            # A direct read may be answered by a replica that is behind; the leader knows.
            try:
                msg = await self._js.get_msg(_STREAM, seq)
            except NotFoundError:
                return None
        return _from_raw(seq, msg)

    async def fullness(self, epoch: str) -> float:
        """Return which part of its bytes the stream uses. Raises Gap where it is not that of `epoch` any more."""
        info = await self._js.stream_info(_STREAM)
        if info.created is None or info.created.isoformat() != epoch:
            raise Gap("the stream is another")
        return info.state.bytes / info.config.max_bytes if info.config.max_bytes else 0.0

    async def purge(self, before: int, epoch: str) -> None:
        """Remove all messages before a sequence of the stream of `epoch`. Raises Gap."""
        await self.fullness(epoch)  # a purge itself would hit whatever stream is there
        await self._js.purge_stream(_STREAM, seq=before)

    async def put_aside(self, stored: Stored, epoch: str, reason: str) -> None:
        """Keep a message that cannot become a row where an operator can find it.

        A second time within the stream's window is no second copy.
        """
        headers = {"Nats-Msg-Id": f"{epoch}:{stored.seq}", DEAD_REASON_HEADER: reason[:500]}
        await self._js.publish(_DEAD_SUBJECT, stored.data, headers=headers)

    async def close(self) -> None:
        """Stop reading; the durable consumer stays."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                await subscription.unsubscribe()
            except NATS_ERRORS as error:
                log.info("unsubscribe_failed", error=type(error).__name__)


def _from_raw(seq: int, msg: RawStreamMsg) -> Stored:
    if msg.time is None:
        raise NatsError(f"message {seq} came without its time")
    return _stored(seq, (msg.time - _UNIX_EPOCH) // timedelta(milliseconds=1), msg.data or b"", msg.headers)


def _delivered_ms(msg: Msg) -> int:
    """When the stream took a delivered message, exactly: nats-py's own `timestamp` went through a float.

    $JS.ACK[.domain.account].stream.consumer.delivered.stream_seq.consumer_seq.nanoseconds.pending[.random]
    """
    tokens = msg.reply.split(".")
    return int(tokens[7 if len(tokens) == 9 else 9]) // 1_000_000


def _stored(seq: int, stored_ms: int, data: bytes, headers: dict[str, str] | None) -> Stored:
    republished = (headers or {}).get(REPUBLISHED_HEADER) == "1"
    return Stored(seq=seq, stored_ms=stored_ms, data=data, republished=republished)
