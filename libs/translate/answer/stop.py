"""Stop sequences, which the Responses API lacks: the text is cut here (docs/mapping.md#stop-sequences).

An answer with stop sequences is in one state:

| state   | its text                            | its other items                    | ends when                     |
|---------|-------------------------------------|------------------------------------|-------------------------------|
| open    | is sent, but for the end of it that | are sent after the text before     | a sequence is complete: cut   |
|         | may begin a stop sequence           |                                    |                               |
| cut     | ends before the sequence            | those before it are still sent     | all those are done: stopped   |
| stopped | is over                             | are not sent                       | the usage comes, or a timeout |

With the stop sequence "END" a client gets of three deltas:

    "one E"  -> "one "    "E" may begin the sequence, and is held
    "ND two" -> nothing   cut: "END" is complete, and neither it nor " two" is sent
    " three" -> nothing
"""

from collections.abc import Sequence


class StopFilter:
    """Takes a text piece by piece, gives what stands before the first stop sequence.

    The sequence that is complete first counts, as where a model stops by itself. So much is held back as
    may be the beginning of one; a text costs the same however it is cut into pieces.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._reach = max(map(len, self._stops), default=1) - 1
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """Return what may go out now; nothing more once `stopped`."""
        if self.stopped:
            return ""
        text = self._held + text
        found = [(start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)[1]]
        safe = max(len(text) - self._reach, 0)
        self._held = text[safe:]
        return text[:safe]

    def flush(self) -> str:
        """Return what was held back: no more text follows."""
        held, self._held = self._held, ""
        return held
