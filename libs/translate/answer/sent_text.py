"""What of an answer's parts was sent, and what of a final text is still to be sent.

A final text, from a `done` event or the finished response, adds what its deltas lacked. Where it does not begin
with the text of its deltas it contradicts them, and nothing of it is sent.

See docs/mapping.md#whole-texts-and-deltas.
"""

from collections.abc import Iterator

from libs.schemas.wire.surrogates import ends_in_half, joined_halves

Key = tuple[int, int]  # output index, index of the part

_PIECES = 512  # that are kept one by one; a piece costs some fifty bytes more than its text


class _Run:
    """Text of one part, sent without text of another part in between."""

    def __init__(self) -> None:
        self.length = 0  # in characters
        self._pieces: list[str] = []
        self._packed: list[str] = []

    def write(self, text: str) -> None:
        self.length += len(text)
        self._pieces.append(text)
        if len(self._pieces) == _PIECES:
            self._packed.append("".join(self._pieces))
            self._pieces.clear()

    def __str__(self) -> str:
        return "".join(self._packed) + "".join(self._pieces)


class SentText:
    """One text that is sent part after part."""

    def __init__(self, *, torn: bool = False) -> None:
        self.key: Key | None = None  # the part whose text is being sent
        self.write = _Run().write  # adds text to that part; for callers on the hot path
        self.torn = torn  # deltas may begin and end in the middle of a character
        self.follows = True  # did the last final text begin with what was sent?
        self.differs = False  # did any final text not?
        self._parts: dict[Key, _Run] = {}  # the last run of each part
        self._runs: list[_Run] = []  # of all parts, in the order in which they were sent
        self._interrupted: set[Key] = set()
        self._halves: dict[Key, str] = {}  # the first half of a character, by the part whose delta it ended
        self._closed = 0  # characters of all runs but the last

    def __contains__(self, key: Key) -> bool:
        return key in self._parts

    def __len__(self) -> int:
        """Return how many characters were sent."""
        return self._closed + (self._runs[-1].length if self._runs else 0)

    def __str__(self) -> str:
        """Return all that was sent."""
        return "".join(map(str, self._runs))

    def joined(self, key: Key, text: str) -> str:
        """Return what of a delta can be sent: half of a character at its end waits for the other half."""
        if not self.torn:
            return text
        text = self._halves.pop(key, "") + text
        if ends_in_half(text):
            self._halves[key] = text[-1]
            text = text[:-1]
        return joined_halves(text)

    def begin(self, key: Key, text: str = "") -> None:
        """A part begins after `text`, which belongs to none. One that others interrupted is no longer one text."""
        if key in self._parts:
            self._interrupted.add(key)
        if text:
            self._run().write(text)
        self._parts[key] = run = self._run()
        self.key, self.write = key, run.write

    def add(self, key: Key, text: str) -> None:
        """Add text to a part."""
        if key != self.key:
            self.begin(key)
        self.write(text)

    def rest(self, key: Key, text: str) -> str:
        """Return what is still to be sent of a part whose final text is `text`. An empty final text changes nothing."""
        self.follows = True
        if not text:
            return ""
        part = self._parts.get(key)
        if part is None:
            self._halves.pop(key, None)
            return text
        sent = part.length
        self.follows = (
            key not in self._interrupted
            and (sent == len(text) or (sent < len(text) and key == self.key))
            and text.startswith(str(part))
        )
        if not self.follows:
            self.differs = True
            return ""
        self._halves.pop(key, None)
        return text[sent:]

    def ended(self, index: int) -> Iterator[Key]:
        """Yield the parts of an item, by its output index, whose last half was left without its other."""
        for key in [key for key in self._halves if key[0] == index]:
            del self._halves[key]
            yield key

    def _run(self) -> _Run:
        self._closed = len(self)
        self._runs.append(_Run())
        return self._runs[-1]
