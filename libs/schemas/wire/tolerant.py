"""Decoding of what must not be lost for a detail: a member that is null, or of a wrong type, counts as absent.

Only members that have a default may be absent; the essential ones may be null and no more. Where null says something
else than absence, the default of the member is UNSET. Halves of characters are mended.
"""

from typing import Any, Generic, Protocol, TypeVar, get_args, get_origin

import msgspec
from msgspec import UNSET, Raw

from libs.schemas.wire.surrogates import TORN, mended

S = TypeVar("S", bound=msgspec.Struct)
# What holds the answer itself, and what a client does with it.
ESSENTIAL = frozenset({"output", "content", "text", "refusal", "arguments", "input"})
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_NULL = Raw(b"null")
_UNION = type(int | None)


class _Decodes(Protocol):
    def decode(self, data: Raw | bytes, /) -> Any: ...


class TolerantDecoder(Generic[S]):
    """Decodes one Struct, strictly first: what is as it should be costs nothing more."""

    def __init__(self, struct: type[S]) -> None:
        self._struct = struct
        self._strict = msgspec.json.Decoder(struct)
        self._members = [(field, _decoder(field.type)) for field in msgspec.structs.fields(struct)]

    def decode(self, data: Raw | bytes) -> S:
        """Return the Struct. Raises msgspec.DecodeError where what must be there is not."""
        try:
            return self._read(data)
        except msgspec.ValidationError:
            raise
        except TORN:
            return self._read(mended(data))

    def _read(self, data: Raw | bytes) -> S:
        try:
            return self._strict.decode(data)
        except msgspec.ValidationError:
            return self._piecewise(_MEMBERS.decode(data))

    def _piecewise(self, members: dict[str, Raw]) -> S:
        given: dict[str, Any] = {}
        for field, decoder in self._members:
            raw = members.get(field.encode_name, None if field.default is UNSET else _NULL)
            if raw is None or (raw == _NULL and not field.required and field.default is not UNSET):
                continue
            try:
                given[field.name] = decoder.decode(raw)
            except msgspec.ValidationError:
                if field.required or field.name in ESSENTIAL:
                    raise
        return self._struct(**given)


def _decoder(type_: Any) -> _Decodes:
    """Return a decoder for a member: tolerant itself where the member is a Struct."""
    for option in get_args(type_) if get_origin(type_) is _UNION else (type_,):
        if get_origin(option) is None and isinstance(option, type) and issubclass(option, msgspec.Struct):
            return TolerantDecoder(option)
    return msgspec.json.Decoder(type_)
