"""Decides when fetched messages become a batch: enough of them, or old enough; pure."""

from services.analytics.rows import Stored


class Batch:
    """Collects messages until there are `max_rows`, or the oldest has waited `max_seconds`.

    Times are monotonic seconds, always passed in.
    """

    def __init__(self, max_rows: int, max_seconds: float) -> None:
        self._max_rows = max_rows
        self._max_seconds = max_seconds
        self._messages: list[Stored] = []
        self._since = 0.0

    def __bool__(self) -> bool:
        return bool(self._messages)

    def room(self) -> int:
        """How many messages still fit."""
        return self._max_rows - len(self._messages)

    def add(self, messages: list[Stored], now: float) -> None:
        """Add messages that arrived `now`; at most `room()`."""
        if not self._messages:
            self._since = now
        self._messages += messages

    def wait_seconds(self, now: float, idle_seconds: float) -> float:
        """How long to wait for more: until the batch is due, and never longer than `idle_seconds`."""
        if not self._messages:
            return idle_seconds
        return min(idle_seconds, max(0.0, self._since + self._max_seconds - now))

    def due(self, now: float) -> bool:
        """Whether it is time to insert."""
        return bool(self._messages) and (self.room() <= 0 or now - self._since >= self._max_seconds)

    def take(self) -> list[Stored]:
        """Return the messages and start anew."""
        messages, self._messages = self._messages, []
        return messages
