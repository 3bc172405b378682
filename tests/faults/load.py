"""Calls of all forms over both edges, one after the other from each caller, and what became of them."""

import asyncio
from collections import Counter
from random import Random

import msgspec

from tests.faults.client import CHAT, RESPONSES, Answer, Client, chat_body
from tests.faults.counts import Counts
from tests.faults.records import recorded
from tests.faults.site import Site
from tests.faults.sizes import Sizes
from tests.support.samples import MODEL

SHORT, LONG = "[[words: 5]]", "[[words: 60]] [[pace: 20ms]]"  # the long one takes more than a second
_KNOWN = [{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"}]


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may see of a fault: chat calls refused at once, answers broken off, histories not known again."""

    refuses: bool = False
    breaks: bool = False
    forgets: bool = False


class Load:
    """Runs callers for the length of the block; `told` then has what was not as promised."""

    def __init__(self, site: Site, sizes: Sizes, chance: Random, promise: Promise) -> None:
        self.answers = 0
        self.request_ids: set[str] = set()
        self.told: Counter[str] = Counter()
        self._site = site
        self._sizes = sizes
        self._chance = chance
        self._promise = promise
        self._over = False

    async def __aenter__(self) -> "Load":
        self._tasks = [asyncio.create_task(self._call(number)) for number in range(self._sizes.callers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)

    async def count(self, counts: Counts) -> None:
        """Add answers and records to the counts, and what was not as promised."""
        expected, found, doubled = await recorded(self._site, self.request_ids, self._sizes.settle)
        counts.answers += self.answers
        counts.expected, counts.found = counts.expected + expected, counts.found + found
        counts.doubled += doubled
        counts.broken += [f"{times} x {what}" for what, times in self.told.items()]

    async def _call(self, number: int) -> None:
        async with Client() as client:
            while not self._over:
                stream, path = self._chance.random() < 0.7, self._chance.choice([CHAT, CHAT, RESPONSES])
                edge = self._chance.choice(self._site.edges)
                body = _body(path, self._chance.choice([SHORT, LONG]), stream)
                answer = await client.ask(edge.port, body, path=path)
                self._hear(path, stream, answer)
                await asyncio.sleep(0.05)

    def _hear(self, path: str, stream: bool, answer: Answer) -> None:
        self.answers += answer.whole
        if answer.status == 200:
            self.request_ids.add(answer.request_id)
        forgot = "state_unavailable" in answer.continuity and not self._promise.forgets
        if forgot or not (answer.whole or self._allowed(path, answer)):
            self._site.note("not as promised", path=path, status=answer.status, code=answer.code, forgot=forgot)
            what = "state_unavailable" if forgot else answer.code
            self.told[f"{path}, {'streamed' if stream else 'whole'}: {answer.status} {what}"] += 1

    def _allowed(self, path: str, answer: Answer) -> bool:
        if answer.status in (0, 200):
            return self._promise.breaks
        is_honest = answer.status == 503 and "retry-after" in answer.headers
        return is_honest and self._promise.refuses and path == CHAT


def _body(path: str, text: str, stream: bool) -> bytes:
    if path == CHAT:
        return chat_body([*_KNOWN, {"role": "user", "content": text}], stream=stream)
    return msgspec.json.encode({"model": MODEL, "input": text, "stream": stream})
