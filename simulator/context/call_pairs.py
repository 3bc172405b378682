"""Calls and their results: every result needs its call before it, every call its result.

See docs/mapping.md#what-an-upstream-keeps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.rules.book import refuse
from simulator.wire.json import Json


@dataclass(frozen=True)
class Pair:
    """The output type of one call type, the keys that must agree, and what refusals call the call."""

    output: str
    words: str
    call_key: str = "call_id"
    output_key: str = "call_id"
    missing: str = "missing_output"


PAIRS: Mapping[str, Pair] = {
    "function_call": Pair("function_call_output", "function call"),
    "custom_tool_call": Pair("custom_tool_call_output", "custom tool call"),
    "computer_call": Pair("computer_call_output", "computer call"),
    "local_shell_call": Pair("local_shell_call_output", "local shell call", output_key="id"),
    "shell_call": Pair("shell_call_output", "shell call"),
    "apply_patch_call": Pair("apply_patch_call_output", "apply patch call"),
    # The server's own searches have no call id and answer themselves.
    "tool_search_call": Pair("tool_search_output", "tool search call"),
    "mcp_approval_request": Pair(
        "mcp_approval_response", "MCP approval request", "id", "approval_request_id", "unapproved"
    ),
}
_CALL_OF_OUTPUT = {pair.output: call for call, pair in PAIRS.items()}
OUTPUT_TYPES = frozenset(_CALL_OF_OUTPUT)


def check_pairs(context: list[Json]) -> None:
    """Raise the 400 for the first result without its call, else for the first call without its result."""
    open_calls: dict[tuple[str, str], Pair] = {}
    answered: set[tuple[str, str]] = set()
    for item in context:
        type = item["type"]
        if type in PAIRS and (call_id := item.get(PAIRS[type].call_key)) is not None:
            open_calls[type, call_id] = PAIRS[type]
        elif type in OUTPUT_TYPES:
            _answer(item, open_calls, answered)
    for (_, call_id), pair in open_calls.items():
        raise refuse(pair.missing, words=pair.words, call_id=call_id)


def _answer(item: Json, open_calls: dict[tuple[str, str], Pair], answered: set[tuple[str, str]]) -> None:
    call = _CALL_OF_OUTPUT[item["type"]]
    call_id = item.get(PAIRS[call].output_key)
    if call_id is None:
        return
    key = (call, call_id)
    if open_calls.pop(key, None) is None and key not in answered:
        raise refuse("orphan_output", words=PAIRS[call].words, call_id=call_id)
    answered.add(key)
