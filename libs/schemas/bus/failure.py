"""What a worker replies where it cannot serve a request of any subject."""

import msgspec


class BusFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a worker gave no reply of its type; the `parley-status` header says which kind."""

    message: str
