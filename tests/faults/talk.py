"""One named conversation, and a client that behaves as clients do: it retries, repeats, leaves, and goes on."""

import asyncio
import time
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import msgspec

from tests.faults.client import Answer, Json, may_retry, wait_for_retry
from tests.faults.questions import DELTA, WHOLE, Question, calling, results, spoken

if TYPE_CHECKING:
    from tests.faults.walk import Walk

_CONVERTED_SECONDS = 0.15  # less than the upstream waits

# What a client does next, and how often, in a hundred turns.
_ACTS = {"say": 60, "call": 20, "whole": 6, "again": 6, "leave": 6, "erase": 2}
# What it does after it has left an answer, or lost it for good.
_AFTER_LEAVING = {"repeat": 60, "after": 20, "other": 8, "whole": 12}


class Told(msgspec.Struct, kw_only=True):
    """What all conversations count together."""

    turns: int = 0
    answers: int = 0
    deltas: int = 0
    resent: int = 0
    lost: list[str] = []
    acts: Counter[str] = msgspec.field(default_factory=Counter)
    heard: Counter[str] = msgspec.field(default_factory=Counter)


class Talk:
    """`history` ends with the newest answer that the client saw to its end; `newest` is that answer's id."""

    def __init__(self, walk: "Walk", name: str, chance: Random) -> None:
        self.name = name
        self._walk = walk
        self._chance = chance
        self._history: list[Json] = []
        self._newest = self._newest_key = ""
        self._last: Question | None = None  # the delta that the newest answer answers
        self._open: Question | None = None  # one whose answer was not seen to its end
        self._whole_next = False
        self._number = 0

    async def run(self) -> None:
        """Take turns until the walk is over."""
        while not self._walk.over:
            await asyncio.sleep(self._chance.expovariate(1 / self._walk.sizes.think))
            await self.turn()

    async def turn(self) -> None:
        """Take one turn, whichever."""
        if self._open is not None and self._newest and not self._whole_next:
            await self._return(self._open, self._choose(_AFTER_LEAVING))
        else:
            await self._go_on(self._choose(_ACTS))

    async def goes_on(self) -> bool:
        """Whether the conversation is where it can be continued by a delta: after at most one whole history."""
        if not self._newest or self._open is not None or self._whole_next:
            await self._say(self._question("say"), WHOLE)
        elif await self._say(self._question("say"), DELTA) == DELTA:
            return True
        return await self._say(self._question("say"), DELTA) == DELTA

    # -- which turn -----------------------------------------------------------------------------------

    def _choose(self, acts: dict[str, int]) -> str:
        act = self._chance.choices(list(acts), list(acts.values()))[0]
        self._walk.told.acts[act] += 1
        return act

    async def _go_on(self, act: str) -> None:
        if act == "erase":
            await self._erase()
        if act == "again" and self._last is not None and not self._whole_next:
            question = msgspec.structs.replace(self._last, after=False)
            await self._say(question, DELTA)
            return
        question = self._question(act)
        form = WHOLE if act == "whole" or self._whole_next or not self._newest else DELTA
        if act == "leave" and question.stream:
            await self._leave(question, form)
        else:
            await self._say(question, form)

    async def _return(self, question: Question, act: str) -> None:
        """Come back after an answer that was not seen to its end."""
        if act == "repeat":
            await self._say(question, DELTA)
        elif act == "whole":
            await self._say(question, WHOLE)
        else:
            other = msgspec.structs.replace(self._question("say"), after=act == "after")
            await self._say(other, DELTA)

    def _question(self, act: str) -> Question:
        self._number += 1
        chance, key = self._chance, f"{self.name}-{self._number}"
        new = results(self._history, key)
        silent = False
        words = 0 if act == "call" else chance.randint(60, 90) if act == "leave" else chance.randint(3, 40)
        if act == "call":
            new.append(calling(key))
        elif not new or act != "say" or chance.random() < 0.5:
            silent = chance.random() < 0.4
            new.append(spoken(key, words=words, pace_ms=chance.choice([5, 20]), silent=silent))
        question = Question(
            key=key,
            before=list(self._history),
            new=new,
            parent=self._newest,
            parent_key=self._newest_key,
            stream=act == "leave" or chance.random() < 0.7,
            after=chance.random() < 0.3,
            words=words,
            silent=silent,
        )
        self._walk.questions[key] = question
        return question

    # -- asking ---------------------------------------------------------------------------------------

    async def _erase(self) -> None:
        """Have the conversation erased; what follows begins anew under the same name."""
        answer, tries = Answer(), 0
        while answer.status not in (200, 404):
            port = self._chance.choice(self._walk.site.edges).port
            answer = await self._walk.client.erase(port, self.name)
            await asyncio.sleep(0 if answer.status in (200, 404) else 0.5)
            tries += 1
        self._walk.site.note("erased", name=self.name, status=answer.status, tries=tries)
        self._history, self._newest, self._newest_key = [], "", ""
        self._open = self._last = None
        self._whole_next = False

    async def _leave(self, question: Question, form: str) -> None:
        """Ask, and leave in the middle of the answer."""
        self._walk.told.turns += 1
        answer = await self._try(question, form, leaves=True)
        self._open, self._last = question, None
        self._whole_next |= "kept=no" in answer.continuity

    async def _say(self, question: Question, form: str) -> str:
        """Ask until there is an answer; return in which form there was, empty for none."""
        told = self._walk.told
        told.turns += 1
        told.deltas += form == DELTA
        self._walk.steps.tell("before")
        await asyncio.sleep(0)
        answer = await self._until_answered(question, form)
        if not answer.whole and form == DELTA:
            told.resent += 1
            form = WHOLE
            answer = await self._until_answered(question, form)
        if not answer.whole:
            told.lost.append(f"{question.key}: {answer.status} {answer.code} {answer.message}".strip())
            self._open, self._last, self._whole_next = question, None, True
            return ""
        self._keep(question, form, answer)
        self._walk.steps.tell("between")
        return form

    def _keep(self, question: Question, form: str, answer: Answer) -> None:
        self._walk.answered(question, answer)
        self._history = question.answered(answer)
        self._newest, self._newest_key = answer.id, question.key
        self._open = None
        self._last = question if form == DELTA else None
        self._whole_next = "kept=no" in answer.continuity

    async def _until_answered(self, question: Question, form: str) -> Answer:
        """Try again as long as that may help, and the client has patience; return the last answer."""
        ends, tries = time.monotonic() + self._walk.sizes.patience, 0
        while True:
            answer = await self._try(question, form)
            if answer.whole or not may_retry(answer) or time.monotonic() > ends:
                return answer
            await wait_for_retry(answer, tries)
            tries += 1

    async def _try(self, question: Question, form: str, *, leaves: bool = False) -> Answer:
        steps, seen = self._walk.steps, 0

        def watch(answer: Answer) -> bool:
            nonlocal seen
            words = len(answer.text.split())
            if words > seen == 0:
                steps.tell("streaming")
            if question.words > seen and words >= question.words:
                steps.tell("ending")
            seen = words
            return leaves and words >= 5

        started = time.monotonic()
        if question.silent:
            asyncio.get_running_loop().call_later(_CONVERTED_SECONDS, steps.tell, "converted")
        port = self._chance.choice(self._walk.site.edges).port
        headers = question.headers(self.name, form)
        answer = await self._walk.client.ask(port, question.body(form), headers, watch=watch)
        self._walk.heard(question, form, answer, started)
        return answer
