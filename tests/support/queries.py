"""Reading the records through the running cluster, from code without an event loop."""

import asyncio
from typing import Any

import msgspec

from libs.runtime.bus import Bus
from libs.runtime.call import BusContext
from libs.runtime.errors import BusError
from libs.schemas.bus.query import QueryReply, QueryRequest
from libs.schemas.config import Nats
from libs.schemas.subjects import QUERY


def decoded(reply: QueryReply) -> list[list[Any]]:
    """Return the rows of a reply, each a list in the order of its columns."""
    return [msgspec.msgpack.decode(row) for row in reply.rows]


def rows(nats_url: str, sql: str) -> list[list[Any]]:
    """Return what `sql` finds; nothing while no active consumer answers."""
    return asyncio.run(_rows(nats_url, sql))


async def _rows(nats_url: str, sql: str) -> list[list[Any]]:
    bus = await Bus.connect(Nats(url=nats_url), "test")
    try:
        reply = await bus.call(QUERY, QueryRequest(sql=sql), BusContext())
    except BusError:
        return []
    finally:
        await bus.drain(1)
    # An instance that has just lost its lease, or has none yet, says so.
    return decoded(reply) if isinstance(reply, QueryReply) else []
