"""Hands what an upstream sends to a function at once, inside the read, where nothing must be waited for.

Waking a task for each event of each stream costs a turn of the loop and a fifth of the edge's time
(docs/bench). HTTP stays aiohttp's: its protocol only notifies when it has parsed a read (`aiohttp_seam.py`).
"""

import asyncio
from collections.abc import Callable
from functools import partial

import aiohttp

from services.edge.upstreams.aiohttp_seam import telling

Take = Callable[[bytes], bool]


class _Source:
    """The body of one answer, and who gets its reads."""

    def __init__(self, answer: aiohttp.ClientResponse, take: Take) -> None:
        self.content = answer.content
        self.take = take
        self.protocol = telling(answer)  # None: the answer is whole, and its connection serves others


class Pushed:
    """The bodies of answers that are read together. The `take` of each gets its reads, and says whether it is done."""

    def __init__(self, *answers: tuple[aiohttp.ClientResponse, Take]) -> None:
        self._sources = [_Source(answer, take) for answer, take in answers]
        self._waiter: asyncio.Future[None] | None = None
        self._left = False  # did a `take` leave something to do?
        self._draining = False

    async def left(self) -> bool:
        """Wait until a `take` leaves something to do; False where an answer has ended.

        Nothing of any answer is taken until this is asked again. Raises what reading raises.
        """
        self._left = False
        while not self._advance():
            self._waiter = asyncio.get_running_loop().create_future()
            listeners = [(source.protocol, partial(self._on_read, source)) for source in self._sources]
            for protocol, listener in listeners:
                if protocol is not None:
                    protocol.listener = listener
            try:
                await self._waiter
            finally:
                self._waiter = None
                for protocol, listener in listeners:
                    # Else the connection serves another answer already.
                    if protocol is not None and protocol.listener is listener:
                        protocol.listener = None
        return self._left

    def drop(self, answer: aiohttp.ClientResponse) -> None:
        """Read no more of an answer: that it ends does not count."""
        self._sources = [source for source in self._sources if source.content is not answer.content]

    def _advance(self) -> bool:
        """Hand over what has come; return whether something is left to do, or an answer has ended."""
        for source in self._sources:
            if self._drain(source):
                if len(self._sources) > 1:  # the next turn is another's
                    self._sources.remove(source)
                    self._sources.append(source)
                return True
        return any(source.content.at_eof() for source in self._sources)

    def _on_read(self, source: _Source) -> None:
        if self._draining or self._waiter is None or self._waiter.done():
            return
        try:
            ended = self._drain(source) or source.content.at_eof()
        except Exception as error:  # into the task that waits, not into aiohttp
            self._waiter.set_exception(error)
        else:
            if ended:
                self._waiter.set_result(None)

    def _drain(self, source: _Source) -> bool:
        """Hand over what has come of one answer; return whether something is left to do."""
        self._draining = True  # reading may resume the connection, which then reads on within
        content, take = source.content, source.take
        try:
            while not self._left and (data := content.read_nowait()):
                self._left = not take(data)
        finally:
            self._draining = False
        return self._left
