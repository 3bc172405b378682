"""docs/mapping.md names every field, part, tool, item, event, error and finish reason that the code knows."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from libs.schemas.config import Profile
from libs.schemas.wire.chat import (
    AssistantAudio,
    ChatRequest,
    ContentPart,
    FileSource,
    Message,
    ParleyOptions,
    ReasoningOptions,
    StreamOptions,
    ToolCall,
    WebSearchOptions,
)
from libs.schemas.wire.completion import (
    AssistantMessage,
    AudioOut,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChoiceLogprobs,
    ChunkChoice,
    CompletionTokensDetails,
    CompletionUsage,
    Delta,
    PromptTokensDetails,
    TokenLogprobOut,
)
from libs.schemas.wire.errors import ErrorBody
from libs.schemas.wire.events import DECODERS, SILENT
from libs.schemas.wire.fields import FIELDS, SHARED, Field
from libs.schemas.wire.output import OutputItem
from libs.schemas.wire.parts import Part
from libs.schemas.wire.responses import InputItem, InputPart, ResponsesRequest, ToolParam
from libs.schemas.wire.tool_types import RESULT_FIELDS
from libs.translate.answer import error_paths, finish
from libs.translate.answer.item_fates import FATES
from tests.support import golden

PAGE = (Path(__file__).parents[2] / "docs" / "mapping.md").read_text()
# Told of a section as a whole, or the plain envelope of what the page is about.
UNNAMED = {"type", "data", "index", "id", "name", "arguments", "role"}
# Of a policy, where it is not that of the whole table.
_WORDS = {"drop": "dropped", "refuse": "refused", "native": "native"}
STRUCTS = (
    *(ChatRequest, Message, ContentPart, FileSource, ToolCall, AssistantAudio, StreamOptions, WebSearchOptions),
    *(ReasoningOptions, ParleyOptions, ResponsesRequest, Profile, ErrorBody),
    *(ChatCompletion, ChatCompletionChunk, Choice, ChunkChoice, AssistantMessage, Delta, AudioOut),
    *(CompletionUsage, PromptTokensDetails, CompletionTokensDetails, ChoiceLogprobs, TokenLogprobOut),
)


def unnamed(names: Iterable[str]) -> list[str]:
    """Return the names that the page does not have in code, alone or in a path."""
    return [name for name in sorted(set(names)) if not re.search(rf"`(?:[\w\[\].]+\.)?{re.escape(name)}[`\":.]", PAGE)]


def rowless(names: Iterable[str], section: str) -> list[str]:
    """Return the names that no row of the section's tables begins with."""
    level = section.partition(" ")[0]
    text = PAGE[PAGE.index(f"\n{section}\n") + 1 :]
    ends = re.search(rf"^#{{1,{len(level)}}} (?!{re.escape(section[len(level) + 1 :])}$)", text, re.MULTILINE)
    cells = (line.split("|")[1] for line in text[: ends and ends.start()].splitlines() if line.startswith("| "))
    first = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    assert first
    return sorted(set(names) - first)


def row(name: str) -> str:
    """Return the first row of the page that begins with a name."""
    return next(line for line in PAGE.splitlines() if line.startswith("| ") and f"`{name}`" in line.split("|")[1])


def tags(union: Any) -> set[str]:
    """Return the types of the members of a union."""
    structs = (one for one in get_args(union) if isinstance(one, type) and issubclass(one, msgspec.Struct))
    return {str(tag) for struct in structs if (tag := struct.__struct_config__.tag) is not None}


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_field_is_named(struct: type[msgspec.Struct]) -> None:
    assert unnamed(set(struct.__struct_fields__) - UNNAMED) == []


def test_every_field_of_a_request_has_a_row() -> None:
    assert rowless(ChatRequest.__struct_fields__, "## Request fields") == []


@pytest.mark.parametrize(("name", "field"), FIELDS.items(), ids=FIELDS)
def test_the_row_of_a_field_has_what_the_table_says_of_it(name: str, field: Field) -> None:
    assert field.to.partition(".")[0] in row(name)
    assert _WORDS.get(field.policy or "", "") in row(name)


def test_every_setting_of_an_upstream_has_a_row() -> None:
    assert rowless(Profile.__struct_fields__, "## What upstreams differ in") == []


def test_every_type_of_item_is_named() -> None:
    assert {"message", "function_call", "reasoning"} <= tags(InputItem) & tags(OutputItem)
    assert unnamed([*tags(InputItem), *RESULT_FIELDS]) == []
    assert rowless([*FATES, *tags(OutputItem)], "## Output items") == []


def test_every_type_of_part_and_tool_is_named() -> None:
    assert {"input_text", "refusal", "function"} <= tags(InputPart) | tags(ToolParam)
    assert unnamed(tags(InputPart) | tags(ToolParam)) == []
    assert rowless(tags(Part), "### Content") == []


def test_every_type_of_event_is_named() -> None:
    assert rowless([*(name.decode() for name in DECODERS), *SILENT], "## Stream events") == []


def test_every_code_of_a_failure_is_named() -> None:
    assert rowless([*finish._FAILURES, *finish._UNNAMED, *finish._IMAGE_PREFIXES], "## Failure codes") == []


def test_every_finish_reason_and_what_makes_it_is_named() -> None:
    answers = [json.loads(path.read_bytes()) for path in golden.ROOT.glob("*/completion.json")]
    given = {choice["finish_reason"] for answer in answers for choice in answer.get("choices", ())}
    assert {"stop", "length", "content_filter", "tool_calls", "function_call"} <= given
    assert rowless(finish._INCOMPLETE, "## Finish reasons") == []
    assert unnamed(given | set(finish._INCOMPLETE.values())) == []


def test_every_path_that_errors_are_translated_from_is_named() -> None:
    heads = {path.rpartition(".")[2] for path in (*error_paths._PATHS, *SHARED, *error_paths._INTERNAL_PATHS)}
    assert unnamed(heads) == []
