"""Only the operator may read what an upstream reports of Parley's own key; a client gets `upstream_key_refused`.

OpenAI quotes a part of a key that it does not know, so no word of such an answer reaches a client: not as
a status, not as an event of a stream, not within a failed response.
"""

import re
from collections.abc import Callable

import msgspec

from libs.runtime.logs import Log
from libs.schemas.config import Upstream
from libs.schemas.wire.errors import ErrorBody, UpstreamErrorBody
from libs.schemas.wire.surrogates import read
from libs.translate.answer.upstream_errors import is_about_key, speaks_of_key
from libs.translate.errors import TranslationError
from services.edge.errors import KEY_REFUSED, UpstreamKeyRefused

MAX_HELD_BYTES = 1024 * 1024  # of an event that may be such an answer
INSPECTED_BYTES = 256 * 1024  # a failed response is no longer than that, unless its request was

_SAFE_CODE = re.compile(r"[a-z_]{1,64}")
_FRAME_END = re.compile(rb"\r?\n\r?\n|\r\r")
_HEAD_BYTES = 96  # of a frame: enough to see whether it is an error

log = Log("parley.edge")


class _FailureEvent(msgspec.Struct):
    """Where an error stands in an event, or in a response."""

    type: str = ""
    error: UpstreamErrorBody | str | None = None
    response: "_FailureEvent | None" = None
    code: str | int | None = None
    message: str | None = None
    param: str | None = None
    sequence_number: int = 0


_FAILURE_EVENT = msgspec.json.Decoder(_FailureEvent)


class OwnKey:
    """The key that Parley uses at one upstream."""

    def __init__(self, upstream: Upstream, key: str) -> None:
        self._upstream = upstream.name
        self._key = key

    def check(self, status: int, upstream_error: UpstreamErrorBody | None) -> None:
        """Raise UpstreamKeyRefused where an error is about the key; `upstream_error` None: unreadable."""
        about = status == 401 or upstream_error is None and status == 403
        if not about and upstream_error is not None:
            about = self.is_about(upstream_error) or (status == 403 and speaks_of_key(upstream_error))
        if about:
            raise self.refused(status, upstream_error)

    def is_about(self, upstream_error: UpstreamErrorBody) -> bool:
        """Whether an error within an answer is about the key, or quotes a part of it."""
        return is_about_key(upstream_error) or self._quoted(upstream_error.message or "")

    def _quoted(self, text: str) -> bool:
        key = self._key
        if len(key) < 12:
            return False
        return key[:12] in text or key[-8:] in text or ("*" in text and key[-4:] in text)

    def refused(self, status: int, upstream_error: UpstreamErrorBody | None) -> UpstreamKeyRefused:
        """Log the refusal for the operator; return the error for the client."""
        code = "" if upstream_error is None or upstream_error.code is None else str(upstream_error.code)
        safe = code if _SAFE_CODE.fullmatch(code) else None
        log.error(KEY_REFUSED, upstream=self._upstream, status=status, code=safe)
        return UpstreamKeyRefused()

    def disclosed(self, error: TranslationError) -> TranslationError:
        """Return `error`, or in its place the client's error where it is about the key."""
        upstream_error = UpstreamErrorBody(message=error.error.message, code=error.error.code, param=error.error.param)
        if isinstance(error, UpstreamKeyRefused) or not self.is_about(upstream_error):
            return error
        return self.refused(error.status, upstream_error)

    def check_body(self, body: bytes) -> None:
        """Raise UpstreamKeyRefused where a whole JSON body is a failure about the key."""
        upstream_error = _failure(body)
        if upstream_error is not None and self.is_about(upstream_error):
            raise self.refused(200, upstream_error)


def _failure(body: bytes) -> UpstreamErrorBody | None:
    """Return the error in an event or a response; None where there is none."""
    if b'"error"' not in body:
        return None
    upstream_error = read(_FAILURE_EVENT, body)
    if upstream_error is None:
        return None
    error = upstream_error.error if upstream_error.response is None else upstream_error.response.error
    if error is None and upstream_error.type == "error":
        error = UpstreamErrorBody(message=upstream_error.message, code=upstream_error.code, param=upstream_error.param)
    return UpstreamErrorBody(message=error) if isinstance(error, str) else error


class StreamGuard:
    """Withholds from a stream what is about the key; all else passes as it came, without waiting for more.

    `render` makes the frame that is sent in its place.
    """

    def __init__(self, key: OwnKey, render: Callable[[ErrorBody, int], bytes]) -> None:
        self._key = key
        self._render = render
        self._held: list[bytes] = []  # the beginning of a frame that may have to be withheld
        self._size = 0
        self._inside = False  # the beginning of the frame has passed
        self._last = b""

    def feed(self, data: bytes) -> bytes:
        """Return what may pass. Raises UpstreamKeyRefused for a frame that is too long to be judged."""
        if not self._held and not self._inside and data[-2:] == b"\n\n" and not _may_fail(data):
            return data  # what nearly every read is: whole frames, none of them an error
        if self._size >= _HEAD_BYTES and _FRAME_END.search(self._last + data) is None:
            self._hold(data)  # without looking at all of it again
            return b""
        passed = []
        if self._inside:
            head, data = self._pass_frame(data)
            passed.append(head)
            if self._inside:
                return head
        block, start = self._released() + data, 0
        for end in _FRAME_END.finditer(block):
            passed.append(self._judged(block[start : end.end()]))
            start = end.end()
        rest = block[start:]
        if len(rest) < _HEAD_BYTES or _may_fail(rest[:_HEAD_BYTES]):
            self._hold(rest)
        else:
            passed.append(rest)
            self._inside, self._last = True, rest[-3:]
        return b"".join(passed)

    def finish(self) -> bytes:
        """Return what is left when the stream has ended."""
        return self._judged(self._released())

    def _hold(self, data: bytes) -> None:
        if data:
            self._held.append(data)
        self._size += len(data)
        self._last = (self._last + data)[-3:]
        if self._size > MAX_HELD_BYTES:
            raise self._key.refused(200, None)

    def _released(self) -> bytes:
        held = b"".join(self._held)
        self._held, self._size, self._last = [], 0, b""
        return held

    def _pass_frame(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the rest of a frame whose beginning has passed, and what follows it."""
        joined = self._last + data
        end = _FRAME_END.search(joined)
        if end is None:
            self._last = joined[-3:]
            return data, b""
        self._inside = False
        cut = max(end.end() - len(self._last), 0)
        return data[:cut], data[cut:]

    def _judged(self, frame: bytes) -> bytes:
        if not _may_fail(frame):
            return frame
        payload = b"\n".join(line[5:].strip() for line in frame.splitlines() if line.startswith(b"data:"))
        upstream_error = _failure(payload)
        if upstream_error is None or not self._key.is_about(upstream_error):
            return frame
        return self._render(self._key.refused(200, upstream_error).error, _number(payload))


def _may_fail(data: bytes) -> bool:
    return b"error" in data or b"failed" in data


def _number(payload: bytes) -> int:
    upstream_error = read(_FAILURE_EVENT, payload)
    return 0 if upstream_error is None else upstream_error.sequence_number
