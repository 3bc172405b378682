"""Content parts of messages and tool results: which a role may carry, their keys, and the forms media must have."""

import re
from collections.abc import Mapping
from typing import Any

from simulator.checks.fields import ARRAY, OBJECT, STRING, Field, check_fields, check_kind, name_of
from simulator.rules.book import invalid_value, listed, refuse
from simulator.wire.json import Json

INPUT_PARTS = ("input_text", "input_image", "input_file")
PARTS_OF_ROLE: Mapping[str, tuple[str, ...]] = {
    "user": INPUT_PARTS,
    "system": INPUT_PARTS,
    "developer": INPUT_PARTS,
    "assistant": ("output_text", "refusal"),
}
_DETAILS = ("low", "high", "auto", "original")
_BREAKPOINT = Field(OBJECT, nullable=True)
_TYPE = Field(STRING, required=True)
_SOURCE = Field(STRING, nullable=True)

PART_FIELDS: Mapping[str, Mapping[str, Field]] = {
    "input_text": {"type": _TYPE, "text": Field(STRING, required=True), "prompt_cache_breakpoint": _BREAKPOINT},
    "input_image": {
        "type": _TYPE,
        "image_url": _SOURCE,
        "file_id": _SOURCE,
        "detail": Field(STRING, nullable=True, values=_DETAILS),
        "prompt_cache_breakpoint": _BREAKPOINT,
    },
    "input_file": {
        "type": _TYPE,
        "file_data": _SOURCE,
        "file_id": _SOURCE,
        "file_url": _SOURCE,
        "filename": Field(STRING, nullable=True),
        "detail": Field(STRING, nullable=True, values=("low", "high", "auto")),
        "prompt_cache_breakpoint": _BREAKPOINT,
    },
    "output_text": {
        "type": _TYPE,
        "text": Field(STRING, required=True),
        "annotations": Field(ARRAY),
        "logprobs": Field(ARRAY),
    },
    "refusal": {"type": _TYPE, "refusal": Field(STRING, required=True)},
}
_IMAGE_URL = re.compile(r"https?://|data:image/[\w.+-]+;base64,")
_FILE_DATA = re.compile(r"data:[\w.+/-]+(;[\w=.-]+)*;base64,")
_SOURCES: Mapping[str, tuple[str, ...]] = {
    "input_image": ("image_url", "file_id"),
    "input_file": ("file_data", "file_id", "file_url"),
}


def check_part(part: Any, supported: tuple[str, ...], param: str) -> None:
    check_kind(part, param, OBJECT)
    type = part.get("type")
    if type not in supported:
        raise invalid_value(param, type, supported)
    if type == "input_image" and isinstance(part.get("image_url"), dict | list):
        raise refuse("image_url_type", param=f"{param}.image_url", got=name_of(part["image_url"]))
    check_fields(part, PART_FIELDS[type], f"{param}.")
    if type in _SOURCES:
        _check_media(part, type, param)


def _check_media(part: Json, type: str, param: str) -> None:
    sources = _SOURCES[type]
    if sum(part.get(name) is not None for name in sources) != 1:
        raise refuse("media_source", param=param, supported=listed(sources))
    image_url, file_data = part.get("image_url"), part.get("file_data")
    if image_url is not None and not _IMAGE_URL.match(image_url):
        raise refuse("image_url_format", param=f"{param}.image_url")
    if file_data is not None:
        if not _FILE_DATA.match(file_data):
            raise refuse("file_data_format", param=f"{param}.file_data")
        if not part.get("filename"):
            raise refuse("missing_parameter", param=f"{param}.filename")
