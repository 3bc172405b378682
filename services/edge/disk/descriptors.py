"""A reserve of file descriptors: clients' connections may use up all others, and what must reach the disk finds one."""

import errno
import os
from contextlib import suppress
from pathlib import Path

RESERVED = 4
_NONE_LEFT = (errno.EMFILE, errno.ENFILE)


class Descriptors:
    """Opens files; gives up one of `reserved` descriptors for it where there is no other."""

    def __init__(self, reserved: int = RESERVED) -> None:
        """Take the reserve. Raises OSError where there are not as many."""
        self._reserved = reserved
        self._spare = [os.open(os.devnull, os.O_RDONLY) for _ in range(reserved)]

    def open(self, path: Path, flags: int) -> int:
        """Open a file, made 0600 if it is made, and return its descriptor. Raises OSError."""
        try:
            return os.open(path, flags, 0o600)
        except OSError as error:
            if error.errno not in _NONE_LEFT or not self._spare:
                raise
        os.close(self._spare.pop())
        try:
            return os.open(path, flags, 0o600)
        finally:
            self.refill()

    def close(self, descriptor: int) -> None:
        """Close a file; where the reserve is not full, it gets the descriptor before a connection does."""
        os.close(descriptor)
        self.refill()

    def refill(self) -> None:
        """Make the reserve full again as far as can be."""
        with suppress(OSError):
            while len(self._spare) < self._reserved:
                self._spare.append(os.open(os.devnull, os.O_RDONLY))

    def release(self) -> None:
        """Give up the reserve."""
        while self._spare:
            os.close(self._spare.pop())
        self._reserved = 0
