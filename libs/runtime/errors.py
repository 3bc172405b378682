"""What can go wrong between a service and the bus; each class says who has to act."""

from libs.runtime.masking import masked


class BusError(Exception):
    """Base of all bus failures; never a client's fault."""


class BusDown(BusError):
    """There is no connection to NATS, or it broke while a call was under way."""


class NoWorkers(BusError):
    """Nobody serves the subject at this moment."""


class WorkerBusy(BusError):
    """A worker answered that it has its hands full."""


class CallTimeout(BusError):
    """No reply in time; the work may have been done."""


class WorkerFailed(BusError):
    """A worker hit an error of its own; its message names no internals."""


class RequestInvalid(BusError):
    """The worker could not decode the request: the two disagree on the schema."""


class MessageTooLarge(BusError):
    """The message would exceed what the bus carries; refused before it is sent."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"message of {size} bytes exceeds the bus limit of {limit} bytes")
        self.size = size
        self.limit = limit


class ReplyTooLarge(BusError):
    """The reply would exceed what the bus carries: another worker could not send it either."""


class HandlerFailed(Exception):
    """Base of what a handler may raise when it cannot answer and nothing is wrong with the request or the code.

    The caller hears that the worker failed, and with which message; the log has one line.
    """


class StartError(Exception):
    """A service cannot start; the message is the one line that an operator reads, its credentials masked."""

    def __init__(self, message: str) -> None:
        super().__init__(masked(message))
