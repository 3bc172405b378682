"""What was said of an answer's parts, and what of a whole text follows from it.

A whole text, of a `done` or of the finished answer, completes what its deltas said. Where it does not begin with
that it says something else, and nothing of it follows.

See docs/mapping.md#whole-texts-and-deltas.
"""

from collections.abc import Iterator

from libs.schemas.wire.surrogates import ends_in_half, whole

Key = tuple[int, int]  # output index, index of the part

_PIECES = 512  # that are kept one by one; a piece costs some fifty bytes more than its text


class _Run:
    """What a part said without being interrupted."""

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


class Spoken:
    """One text that is said in parts, one after the other."""

    def __init__(self, *, torn: bool = False) -> None:
        self.key: Key | None = None  # the part that speaks
        self.write = _Run().write  # takes what it says next; for callers that must be quick
        self.torn = torn  # deltas may begin and end in the middle of a character
        self.follows = True  # did the last whole text begin with what was said?
        self.differs = False  # did one not?
        self._parts: dict[Key, _Run] = {}  # what each part said last
        self._runs: list[_Run] = []  # of all parts, in the order in which it was said
        self._interrupted: set[Key] = set()
        self._halves: dict[Key, str] = {}  # the first half of a character, by the part whose delta it ended
        self._closed = 0  # characters of all runs but the last

    def __contains__(self, key: Key) -> bool:
        return key in self._parts

    def __len__(self) -> int:
        """Return how many characters were said."""
        return self._closed + (self._runs[-1].length if self._runs else 0)

    def __str__(self) -> str:
        """Return all that was said."""
        return "".join(map(str, self._runs))

    def joined(self, key: Key, text: str) -> str:
        """Return what can be said of a delta: a half that ends it waits for the other."""
        if not self.torn:
            return text
        text = self._halves.pop(key, "") + text
        if ends_in_half(text):
            self._halves[key] = text[-1]
            text = text[:-1]
        return whole(text)

    def begin(self, key: Key, text: str = "") -> None:
        """A part begins after `text`, which belongs to none. One that others interrupted is no longer one text."""
        if key in self._parts:
            self._interrupted.add(key)
        if text:
            self._run().write(text)
        self._parts[key] = run = self._run()
        self.key, self.write = key, run.write

    def add(self, key: Key, text: str) -> None:
        """A part says more."""
        if key != self.key:
            self.begin(key)
        self.write(text)

    def rest(self, key: Key, text: str) -> str:
        """Return what is still to be said of a part whose whole text is `text`. An empty one says nothing."""
        self.follows = True
        if not text:
            return ""
        part = self._parts.get(key)
        if part is None:
            self._halves.pop(key, None)
            return text
        said = part.length
        self.follows = (
            key not in self._interrupted
            and (said == len(text) or (said < len(text) and key == self.key))
            and text.startswith(str(part))
        )
        if not self.follows:
            self.differs = True
            return ""
        self._halves.pop(key, None)
        return text[said:]

    def ended(self, index: int) -> Iterator[Key]:
        """Yield the parts of an item, by its output index, whose last half was left without its other."""
        for key in [key for key in self._halves if key[0] == index]:
            del self._halves[key]
            yield key

    def _run(self) -> _Run:
        self._closed = len(self)
        self._runs.append(_Run())
        return self._runs[-1]
