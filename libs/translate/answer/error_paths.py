"""Paths into the Responses request, back to the paths a chat client knows (docs/mapping.md#paths-in-errors).

The plan says which message each input item came from, and which parameters the client called by another
name than the usual one.
"""

import re
from collections.abc import Mapping, Sequence

from libs.schemas.plan import StreamPlan
from libs.schemas.wire.fields import FIELDS, SHARED

_INPUT = re.compile(r"input\[(\d{1,9})\]")
_TOOL = re.compile(r"(tools\[(\d{1,9})\])(.*)")
_FUNCTION_FIELDS = ("name", "description", "parameters", "strict")
# Responses path -> chat path, where every request has the same.
_PATHS = {
    **{field.to: name for name, field in FIELDS.items() if field.to and field.to not in FIELDS},
    "text.format.description": "response_format.json_schema.description",
    "text.format.name": "response_format.json_schema.name",
    "text.format.schema": "response_format.json_schema.schema",
    "text.format.strict": "response_format.json_schema.strict",
    "tool_choice.name": "tool_choice.function.name",
}
# Inside of an item, and inside of a custom tool.
_INNER = (
    (re.compile(r"^\.output\b"), ".content"),
    (re.compile(r"(\.content\[\d{1,9}\])\.detail$"), r"\1.image_url.detail"),
    (re.compile(r"(\.content\[\d{1,9}\])\.(file_data|file_id|file_url|filename)$"), r"\1.file.\2"),
)
_GRAMMAR = re.compile(r"^\.format\.(definition|syntax)$")
# What Parley sets by itself; a client that gave one as well finds it among the renames.
_INTERNAL_PATHS = frozenset({"reasoning.summary"})

_FIRST_NAME = re.compile(r"\w*")
_TAIL = r"(?:\[\d{1,9}\]|\.\w{1,64}+){0,32}+"
_QUOTED = re.compile(rf"""(?P<quote>['"`])(?P<path>[A-Za-z_]\w{{0,63}}+{_TAIL})(?P=quote)""")
_BARE = re.compile(
    rf"""(?<![\w.'"`])(?:input\[\d{{1,9}}\]|tools\[\d{{1,9}}\]|text\.format|text\.verbosity|reasoning\.effort|max_output_tokens){_TAIL}"""
)
_MAX_TEXT = 16 * 1024  # of a message: no path is looked for behind it
# What one API says of a precondition, and what the other does (docs/mapping.md#response-format).
_NO_JSON = re.compile(r"must contain the word ['\"]?json", re.IGNORECASE)
_NO_JSON_MESSAGE = (
    "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
)


def to_chat_param(param: str | None, plan: StreamPlan) -> str | None:
    """Return a parameter's path in the chat request; None for what only Parley set."""
    if param is None or _is_internal(param, plan.renames):
        return None
    return _to_chat(param, plan)


def to_chat_text(text: str, plan: StreamPlan) -> str:
    """Return a message with the paths in it, quoted or unmistakable, as the client knows them."""
    if _NO_JSON.search(text):
        return _NO_JSON_MESSAGE
    text, rest = text[:_MAX_TEXT], text[_MAX_TEXT:]
    text = _QUOTED.sub(lambda found: f"{found['quote']}{_to_chat(found['path'], plan)}{found['quote']}", text)
    return _BARE.sub(lambda found: _to_chat(found[0], plan), text) + rest


def _is_internal(param: str, renames: Mapping[str, str]) -> bool:
    found = _FIRST_NAME.match(param)
    first = found[0] if found else ""
    return (first in SHARED and first not in renames) or (param in _INTERNAL_PATHS and param not in renames)


def _to_chat(path: str, plan: StreamPlan) -> str:
    if found := _INPUT.match(path):
        return f"messages[{_source(plan.message_indexes, int(found[1]))}]{_inner(path[found.end() :])}"
    if found := _TOOL.match(path):
        return _tool(found[1], int(found[2]), found[3], plan.renames)
    return _prefixed(path, _PATHS | plan.renames)


def _source(message_indexes: Sequence[int], index: int) -> int:
    return message_indexes[index] if index < len(message_indexes) else index


def _inner(path: str) -> str:
    for pattern, chat in _INNER:
        path = pattern.sub(chat, path)
    return path


def _tool(tool: str, index: int, field: str, renames: Mapping[str, str]) -> str:
    there = renames.get(tool)
    if there is not None:
        # The type stands outside of what a custom tool nests.
        return tool + field if field == ".type" else there + _GRAMMAR.sub(r".format.grammar.\1", field)
    if "tools" in renames:
        return f"{renames['tools']}[{index}]{field}"
    nested = _FIRST_NAME.match(field[1:])
    return f"{tool}.function{field}" if nested and nested[0] in _FUNCTION_FIELDS else tool + field


def _prefixed(path: str, names: Mapping[str, str]) -> str:
    """Replace the longest beginning of `path` that has another name."""
    longest = min(len(path), max(map(len, names)))
    for end in range(longest, 0, -1):
        if (end == len(path) or path[end] in ".[") and path[:end] in names:
            return names[path[:end]] + path[end:]
    return path
