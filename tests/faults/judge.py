"""Judges, from what the upstream received, whether each question followed the answer that its client saw last."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from libs.translate.ids import response_id
from tests.faults.questions import DELTA, Question
from tests.support.simulator import Json, Simulator

_POLL_SECONDS = 1.0
_READ = 600  # of the ledger at once: more than any second brings


async def watch_upstream(simulator: Simulator, judge: "Judge", over: asyncio.Event) -> None:
    """Hand the judge all that the simulator receives, for its ledger forgets, until `over` is set."""
    while True:
        last = over.is_set()
        judge.take(await asyncio.to_thread(simulator.ledger, _READ))
        if last:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), _POLL_SECONDS)


class Judge:
    """Entries of the ledger by number; the newest state of each counts."""

    def __init__(self) -> None:
        self._entries: dict[int, Json] = {}
        self.results = 0

    def take(self, entries: list[Json]) -> None:
        """Take entries, also those that it has."""
        for entry in entries:
            told = ((entry["body"] or {}).get("metadata") or {}).get("question")
            if told is not None:
                self._entries[entry["number"]] = {**entry, "question": told}

    def verdict(self, questions: Mapping[str, Question], seen: Mapping[str, Question]) -> list[str]:
        """Return what was wrong, one line each. `seen` are the answers that clients saw, by response id."""
        asked_by = {entry["response_id"]: entry["question"] for entry in self._entries.values() if entry["response_id"]}
        wrong = []
        for entry in self._entries.values():
            key, _, form = entry["question"].rpartition(" ")
            wrong += self._judged(entry, questions[key], form, asked_by)
        for id_, question in seen.items():
            if asked_by.get(id_, "").rpartition(" ")[0] != question.key:
                wrong.append(f"{question.key}: was answered with {id_}, which answers {asked_by.get(id_)}")
        return wrong

    def _judged(self, entry: Json, question: Question, form: str, asked_by: Mapping[str, str]) -> list[str]:
        parent = entry["previous_response_id"]
        if form == DELTA:
            self.results += any(message["role"] == "tool" for message in question.new)
            if parent == response_id(question.parent):
                return []
        elif parent is None or parent == response_id(question.parent):
            return []
        elif _calls(question) == [] and asked_by.get(parent, "").rpartition(" ")[0] == question.parent_key:
            return []  # another answer to the same question, in the same words
        what = "a result of a tool went" if any(message["role"] == "tool" for message in question.new) else "it went"
        seen = f"{response_id(question.parent)} ({question.parent_key})"
        return [
            f"{question.key} ({form}): {what} to {parent} ({asked_by.get(parent)}), "
            f"the client's newest answer is {seen}; response {entry['response_id']}, status {entry['status']}"
        ]


def _calls(question: Question) -> list[Json]:
    """The calls of the answer that a question follows."""
    calls: list[Json] = question.before[-1].get("tool_calls", []) if question.before else []
    return calls
