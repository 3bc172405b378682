"""All that relies on undocumented parts of uvicorn: a server that leaves signals alone, and a write that never waits.

What is relied on, each tested against the real server in tests/contract/test_seams.py:

- `Server.capture_signals` is all that touches the process's signals;
- the coroutine of an application's `send` waits only before it writes: one that ended without waiting has written
  all of the message, and one that waited has written none of it and can be closed.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, cast

import uvicorn

CHECKED = "0.54.0"  # the version of uvicorn for which all this was last looked at

Message = MutableMapping[str, Any]


class Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: the service decides when to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signals alone."""
        yield


def send_now(send: Callable[[Message], Awaitable[None]], message: Message) -> bool:
    """Send a message if that takes no waiting; return whether it did. Nothing of it was sent otherwise."""
    sending = cast(Coroutine[None, None, None], send(message))
    try:
        sending.send(None)
    except StopIteration:
        return True
    sending.close()
    return False
