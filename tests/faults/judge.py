"""Judges, from what the upstream received, whether each question followed the answer that its client saw last."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from libs.translate.ids import response_id
from tests.faults.questions import WHOLE, Question
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

    def take(self, entries: list[Json]) -> None:
        """Take entries, also those that it has."""
        self._entries.update((entry["number"], entry) for entry in entries if _asked(entry))

    def verdict(self, questions: Mapping[str, Question], seen: Mapping[str, Question]) -> list[str]:
        """Return a line for each question that went wrong; `seen` are the answers clients saw, by response id."""
        asked_by = {entry["response_id"]: _asked(entry) for entry in self._entries.values() if entry["response_id"]}
        wrong = {}
        for entry in self._entries.values():
            key, _, form = _asked(entry).rpartition(" ")
            if not _follows(entry["previous_response_id"], questions[key], form, asked_by):
                wrong[key] = _told(entry, questions[key], form, asked_by)
        for id_, question in seen.items():
            if asked_by.get(id_, "").rpartition(" ")[0] != question.key:
                wrong[question.key] = f"{question.key}: was answered with {id_}, which answers {asked_by.get(id_)}"
        return list(wrong.values())


def _asked(entry: Json) -> str:
    """The key of the question and the form it was asked in; empty for a request that is not ours."""
    return str(((entry["body"] or {}).get("metadata") or {}).get("question") or "")


def _follows(parent: str | None, question: Question, form: str, asked_by: Mapping[str, str]) -> bool:
    """Whether a question went to the answer that its client saw last; one with its history may follow none."""
    if parent == response_id(question.parent) or (form == WHOLE and parent is None):
        return True
    # Another answer to the same question, in the same words, is the same history.
    calls = bool(question.before) and "tool_calls" in question.before[-1]
    return form == WHOLE and not calls and asked_by.get(parent or "", "").rpartition(" ")[0] == question.parent_key


def _told(entry: Json, question: Question, form: str, asked_by: Mapping[str, str]) -> str:
    parent, newest = entry["previous_response_id"], response_id(question.parent)
    what = "a tool's result" if any(message["role"] == "tool" for message in question.new) else "it"
    return (
        f"{question.key} ({form}): {what} went to {parent} ({asked_by.get(parent)}), the client's newest answer is "
        f"{newest} ({question.parent_key}); response {entry['response_id']}, status {entry['status']}"
    )
