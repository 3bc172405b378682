"""Reads JSON that clients send, strictly and in one pass, and loses no key that it does not know.

A body whose keys are all known is decoded once. Only one that has others is gone over again: its
unknown keys are taken out, under their paths, and the rest is decoded.
"""

import re
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw
from msgspec import inspect as shapes

from libs.schemas.wire.chat import NO_RAW
from libs.schemas.wire.surrogates import UNREADABLE
from libs.translate.errors import InvalidRequest, missing

T = TypeVar("T")

NULL = Raw(b"null")

_FIELD = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_UNKNOWN = "Object contains unknown field "

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ARRAY = msgspec.json.Decoder(list[Raw])
_TAG = msgspec.json.Decoder(str)
_ENCODER = msgspec.json.Encoder()
_ARRAY_BEGINS, _OBJECT_BEGINS, _STRING_BEGINS = b'[{"'


def is_given(raw: Raw) -> bool:
    """Whether a field kept as `Raw` was there and not null."""
    return raw is not NO_RAW and raw != NO_RAW and raw != NULL


def decode_body(decoder: "msgspec.json.Decoder[Any]", body: bytes | Raw, where: str = "") -> Any:
    """Decode a client's JSON, which stands at `where` in its body.

    Raises InvalidRequest, which names the field at fault (docs/mapping.md#refusals).
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _wrong_field(str(error), where) from None
    except RecursionError:
        raise InvalidRequest("The body of your request is nested too deeply.", None) from None
    except UNREADABLE:
        raise InvalidRequest("The body of your request is not valid JSON.", None) from None


def join(where: str, path: str) -> str:
    """Return the path of what is at `path` inside of what is at `where`."""
    return f"{where}.{path}" if where and path and not path.startswith("[") else where + path


def _wrong_field(text: str, where: str) -> InvalidRequest:
    place = _FIELD.search(text)
    path = join(where, place["path"] if place else "")
    lacking = _MISSING.search(text)
    if lacking:
        return missing(join(path, lacking["field"]))
    wrong = _EXPECTED.search(text)
    if wrong and path:
        wanted = wrong["wanted"].removesuffix(" | null").replace(" | ", " or ")
        message = f"Invalid type for '{path}': expected {wanted}, but got {wrong['got']} instead."
        return InvalidRequest(message, path, "invalid_type")
    if wrong:
        return InvalidRequest("The body of your request must be a JSON object.", None)
    return InvalidRequest(text[: place.start()] if place else text, path or None, "invalid_value")


# -- unknown keys -----------------------------------------------------------------------------------


class _Shape(msgspec.Struct, frozen=True):
    """What a type may hold: the fields of its objects, by their tag, and the shape of its array's items.

    `items` decodes one of these.
    """

    objects: dict[str | None, "dict[str, _Shape]"] = {}
    tag_field: str | None = None
    item: "_Shape | None" = None
    items: "msgspec.json.Decoder[Any] | None" = None


class Reader(Generic[T]):
    """Decodes one type of which every Struct forbids unknown fields."""

    def __init__(self, type_: Any) -> None:
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(type_)
        self._shape = _shape(shapes.type_info(type_))

    def read(self, body: bytes | Raw, where: str = "") -> tuple[T, dict[str, Raw]]:
        """Return the value, and what unknown keys held, null aside, by their paths.

        Raises InvalidRequest.
        """
        try:
            return self._decoder.decode(body), {}
        except UNREADABLE as error:
            if not str(error).startswith(_UNKNOWN):
                return decode_body(self._decoder, body, where), {}
        unknown: dict[str, Raw] = {}
        known = _without_unknown(Raw(bytes(body).strip()), self._shape, where, unknown)
        value: T = decode_body(self._decoder, _ENCODER.encode(known), where)
        return value, unknown


def _shape(type_: shapes.Type) -> _Shape:
    members = type_.types if isinstance(type_, shapes.UnionType) else (type_,)
    structs = [member for member in members if isinstance(member, shapes.StructType)]
    lists = [member for member in members if isinstance(member, shapes.ListType)]
    tag_field = structs[0].tag_field if structs else None
    item = lists[0].item_type if lists else None
    return _Shape(
        objects={
            None if struct.tag is None else str(struct.tag): {
                **({} if tag_field is None else {tag_field: _Shape()}),
                **{field.encode_name: _shape(field.type) for field in struct.fields},
            }
            for struct in structs
        },
        tag_field=tag_field,
        item=_shape(item) if item is not None else None,
        items=msgspec.json.Decoder(item.cls) if isinstance(item, shapes.StructType) else None,
    )


def _without_unknown(raw: Raw, shape: _Shape, where: str, unknown: dict[str, Raw]) -> Any:
    """Return the value without unknown keys, which are put into `unknown`."""
    first = memoryview(raw)[0]
    if first == _ARRAY_BEGINS and shape.item is not None:
        items: list[Raw] = decode_body(_ARRAY, raw, where)
        return [
            item if _is_known(item, shape) else _without_unknown(item, shape.item, f"{where}[{k}]", unknown)
            for k, item in enumerate(items)
        ]
    if first != _OBJECT_BEGINS or not shape.objects:
        return raw
    given: dict[str, Raw] = decode_body(_OBJECT, raw, where)
    fields = shape.objects.get(_tag(given, shape.tag_field))
    if fields is None:
        return raw
    known: dict[str, Any] = {}
    for name, value in given.items():
        if name in fields:
            known[name] = _without_unknown(value, fields[name], join(where, name), unknown)
        elif value != NULL:
            unknown[join(where, name)] = value
    return known


def _is_known(item: Raw, shape: _Shape) -> bool:
    """Whether an item can be decoded as it is: then nothing in it is unknown, and it need not be gone over."""
    if shape.items is None:
        return False
    try:
        shape.items.decode(item)
    except UNREADABLE:
        return False
    return True


def _tag(given: dict[str, Raw], tag_field: str | None) -> str | None:
    if tag_field is None:
        return None
    raw = given.get(tag_field, NULL)
    return _TAG.decode(raw) if memoryview(raw)[0] == _STRING_BEGINS else None
