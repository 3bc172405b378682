"""The content of an answer: the texts of its messages, one after the other (docs/mapping.md#content).

Counts where each part stands in the whole, for the citations; cuts at a stop sequence (docs/mapping.md#stop-sequences).
"""

from collections import deque
from collections.abc import Sequence

from msgspec import Raw

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.completion import Annotation, TokenLogprobOut
from libs.schemas.wire.parts import NO_RAW
from libs.translate.answer.annotations import Citations, TextKey
from libs.translate.answer.logprobs import to_logprobs
from libs.translate.answer.sent_text import SentText
from libs.translate.answer.stop import StopFilter

SEPARATOR = "\n\n"  # between the texts of two messages

SentPiece = tuple[str, Sequence[TokenLogprobOut]]
_NOTHING: SentPiece = ("", ())


class Text:
    """Takes pieces of parts in their order, gives what the client may read."""

    def __init__(self, plan: StreamPlan) -> None:
        self._structured = plan.structured
        self._logprobs = plan.logprobs
        self._stop = StopFilter(plan.stop) if any(plan.stop) else None
        self.sent = SentText()  # all that came
        self._tokens: dict[TextKey, list[str]] = {}  # of each part, those whose log probabilities came
        self._starts: dict[TextKey, int] = {}  # where a part begins in the whole
        self._last = -1  # the message that spoke last
        self._released = 0  # of it, what the client got; counted where there are stop sequences
        self._plain = self._stop is None and not self._logprobs
        self.stopped = False  # a stop sequence ended the content
        self._waiting: deque[tuple[int, TokenLogprobOut]] = deque()  # tokens of text held back, by their ends
        self.citations = Citations()

    def tear(self) -> None:
        """From now on deltas may begin and end in the middle of a character."""
        self.sent.torn = True
        self._plain = False

    def add(self, key: TextKey, text: str, logprobs: Raw = NO_RAW) -> SentPiece:
        """Return what the client gets of a new piece of a part."""
        if self._plain and key == self.sent.key:  # nearly every delta: no more than noted
            self.sent.write(text)
            return text, ()
        text = self.sent.joined(key, text)
        tokens = to_logprobs(logprobs) if self._logprobs else ()
        return self._add(key, text, tokens) if text or tokens else _NOTHING

    def complete(self, key: TextKey, final_text: str, logprobs: Raw = NO_RAW) -> SentPiece:
        """Return what the client gets when a part is complete: what follows from what came before."""
        rest, follows = self.sent.rest(key, final_text), self.sent.follows
        tokens = self._more(key, to_logprobs(logprobs)) if self._logprobs and follows else ()
        return self._add(key, rest, tokens) if rest or tokens else _NOTHING

    def _more(self, key: TextKey, tokens: Sequence[TokenLogprobOut]) -> Sequence[TokenLogprobOut]:
        """Of all log probabilities of a part, those that had not come."""
        sent = self._tokens.get(key, [])
        return tokens[len(sent) :] if [token.token for token in tokens[: len(sent)]] == sent else ()

    def end(self) -> SentPiece:
        """Return what was held back: the message is complete."""
        return _NOTHING if self._stop is None else self._release(self._stop.flush())

    def annotations(self) -> list[Annotation]:
        """Return the annotations of what the client got."""
        return self.citations.annotations(self._starts, self._released if self.stopped else None)

    def _add(self, key: TextKey, text: str, tokens: Sequence[TokenLogprobOut]) -> SentPiece:
        prefix = self._open(key) if text and key not in self.sent else ""
        if text:
            self.sent.add(key, text)
        if tokens:
            self._tokens.setdefault(key, []).extend(token.token for token in tokens)
        if self._stop is None:
            return prefix + text, tokens
        self._wait(text, tokens)
        released = self._stop.feed(prefix + text)
        self.stopped = self._stop.stopped
        return self._release(released)

    def _open(self, key: TextKey) -> str:
        """A part begins: return what sets it apart from the message before it."""
        apart = len(self.sent) > 0 and self._last != key[0] and not self._structured
        prefix = SEPARATOR if apart else ""
        self._last = key[0]
        self.sent.begin(key, prefix)
        self._starts[key] = len(self.sent)
        return prefix

    def _wait(self, text: str, tokens: Sequence[TokenLogprobOut]) -> None:
        """Note where each token of a piece ends. One cut inside a character may be longer than what it adds."""
        length = len(self.sent)
        position = length - len(text)
        for token in tokens:
            position = min(position + len(token.token), length)
            self._waiting.append((position, token))

    def _release(self, text: str) -> SentPiece:
        self._released += len(text)
        tokens = []
        while self._waiting and self._waiting[0][0] <= self._released:
            tokens.append(self._waiting.popleft()[1])
        return text, tokens
