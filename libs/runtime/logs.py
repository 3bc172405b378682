"""Logging as JSON lines on stderr. Names of things and numbers only: no secrets, no message text.

Texts of other libraries' errors may hold a credential: each line is masked before it is written.
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType

import msgspec

from libs.runtime.masking import masked
from libs.schemas.records import cut

_ENCODER = msgspec.json.Encoder()
_FIELDS = "fields"
MAX_TEXT_CHARACTERS = 1000  # of each text in a line: clients and upstreams choose some of them
_MASKED_CHARACTERS = 4 * MAX_TEXT_CHARACTERS


class _JsonFormatter(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "service": self._service,
            "event": record.getMessage(),
            **{name: _bounded(value) for name, value in getattr(record, _FIELDS, {}).items()},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return masked(_ENCODER.encode(line).decode())


def _bounded(value: object) -> object:
    if not isinstance(value, str):
        return value
    # Masked before the cut: half a credential is known by nothing.
    return cut(masked(cut(value, _MASKED_CHARACTERS)), MAX_TEXT_CHARACTERS)


def setup(service: str, *, level: int = logging.INFO) -> None:
    """Send every log record of this process to stderr as one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    sys.excepthook = _crashed  # what ends the process is a line too
    # nats-py logs every lost connection itself, with a traceback; the bus logs the same in one line.
    logging.getLogger("nats").setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _crashed(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        logging.getLogger("parley").critical("crashed", exc_info=(kind, error, traceback))


class Log:
    """A logger that takes an event name and fields: `log.info("call", status=200)`."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, **fields: object) -> None:
        """Log what an operator wants to see on a normal day."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log a problem that was handled."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log what somebody must look at."""
        self._write(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """Log the exception being handled, with its traceback."""
        self._write(logging.ERROR, event, fields, exc_info=True)

    def _write(self, level: int, event: str, fields: dict[str, object], *, exc_info: bool = False) -> None:
        self._logger.log(level, event, extra={_FIELDS: fields}, exc_info=exc_info)


class RareLog(Log):
    """Writes at most one line of each event in `seconds`; the next one says as `suppressed` how many were left out."""

    def __init__(self, name: str, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(name)
        self._seconds = seconds
        self._clock = clock
        self._silent_until: dict[str, float] = {}
        self._suppressed: Counter[str] = Counter()

    def _write(self, level: int, event: str, fields: dict[str, object], *, exc_info: bool = False) -> None:
        now = self._clock()
        if now < self._silent_until.get(event, now):
            self._suppressed[event] += 1
            return
        self._silent_until[event] = now + self._seconds
        suppressed = self._suppressed.pop(event, 0)
        super()._write(level, event, {**fields, "suppressed": suppressed} if suppressed else fields, exc_info=exc_info)
