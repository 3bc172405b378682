"""What a conversation asks, each under a key of its own that the upstream gets in `metadata`."""

import json

import msgspec

from tests.faults.client import Answer, Json, chat_body
from tests.support.samples import WEATHER_TOOL

HISTORY, AFTER, NAME = "x-parley-history", "x-parley-after", "x-parley-conversation"
DELTA, WHOLE = "delta", "whole"
SILENT_MS = 300


class Question(msgspec.Struct, kw_only=True):
    """One question; `before` is the history that it follows, `new` what it adds.

    `parent` is the answer that the client saw last, by its id, and `parent_key` the question to it; both empty
    before the first answer. `words` is how long the answer will be, 0 for a call; `silent` says that the upstream waits
    before it answers.
    """

    key: str
    before: list[Json]
    new: list[Json]
    parent: str
    parent_key: str
    stream: bool
    after: bool
    words: int
    silent: bool

    def body(self, form: str) -> bytes:
        """Return the request, as a delta or with the whole history; each time the same bytes."""
        messages = self.new if form == DELTA else [*self.before, *self.new]
        fields = {"tools": [WEATHER_TOOL], "stream": self.stream, "metadata": {"question": f"{self.key} {form}"}}
        return chat_body(messages, **fields)

    def headers(self, name: str, form: str) -> dict[str, str]:
        """Return the headers that say whose question it is."""
        if form == WHOLE:
            return {NAME: name}
        return {NAME: name, HISTORY: DELTA, **({AFTER: self.parent} if self.after else {})}

    def answered(self, answer: Answer) -> list[Json]:
        """Return the history with the answer."""
        return [*self.before, *self.new, answer.assistant()]


def spoken(key: str, *, words: int, pace_ms: int, silent: bool) -> Json:
    """A question that is answered with so many words; where it is `silent`, the upstream waits with them."""
    delay = f" [[slow-headers: {SILENT_MS}ms]]" if silent else ""
    return {"role": "user", "content": f"Question {key}. [[words: {words}]] [[pace: {pace_ms}ms]]{delay}"}


def calling(key: str) -> Json:
    """A question that is answered with a call of the tool."""
    arguments = json.dumps({"city": key})
    return {"role": "user", "content": f"Question {key}. [[call: get_weather {arguments}]] [[pace: 5ms]]"}


def results(history: list[Json], key: str) -> list[Json]:
    """The results of the calls that the newest answer made."""
    calls = history[-1].get("tool_calls", ()) if history else ()
    return [{"role": "tool", "tool_call_id": call["id"], "content": f"Result {key}"} for call in calls]
