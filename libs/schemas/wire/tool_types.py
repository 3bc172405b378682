"""The types of tools: who runs each, and what of it an answer and a request may hold.

This is the one table of them. The shapes of what is named here stand in `chat.py`, `responses.py` and `output.py`.
"""

from typing import Literal

import msgspec

# A client sees a `call` as a tool call and an `image` as a picture. `kept` items mean nothing to it and are for the
# history alone; of `lost` ones it might miss something.
ItemFate = Literal["call", "image", "kept", "lost"]


class Result(msgspec.Struct, frozen=True):
    """The item that answers a call. As a typed result among a chat's messages it has these `fields`.

    The first field names the call, and the second may not lack. With none it never comes from a client.
    """

    type: str
    fields: tuple[str, ...] = ()


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An output item of a tool. `events` are those of its own that tell a chat client nothing, without `response.`."""

    type: str
    fate: ItemFate
    events: tuple[str, ...] = ()
    result: Result | None = None


class ToolType(msgspec.Struct, frozen=True, kw_only=True):
    """One type, which may have several names.

    `like` are globs that fit names of it which are yet to come. `nested` types have a form of chat's own; the others
    stand in a chat body as they go up. The configuration's default takes those that are `hosted`.
    """

    names: tuple[str, ...]
    like: tuple[str, ...] = ()
    runs: Literal["client", "upstream"]
    nested: bool = False
    hosted: bool = False
    items: tuple[Item, ...]


def _steps(item: str, *steps: str) -> tuple[str, ...]:
    return tuple(f"{item}.{step}" for step in steps)


TOOL_TYPES = (
    ToolType(
        names=("function",),
        runs="client",
        nested=True,
        items=(
            Item(
                type="function_call",
                fate="call",
                result=Result("function_call_output", ("call_id", "output", "id", "status")),
            ),
        ),
    ),
    ToolType(
        names=("custom",),
        runs="client",
        nested=True,
        items=(
            Item(
                type="custom_tool_call",
                fate="call",
                result=Result("custom_tool_call_output", ("call_id", "output", "id")),
            ),
        ),
    ),
    # Run by the upstream: never a call for the client; what they found is cited in the text.
    ToolType(
        names=("web_search*",),
        runs="upstream",
        hosted=True,
        items=(
            Item(
                type="web_search_call",
                fate="lost",
                events=_steps("web_search_call", "in_progress", "searching", "completed"),
            ),
        ),
    ),
    ToolType(
        names=("file_search",),
        runs="upstream",
        hosted=True,
        items=(
            Item(
                type="file_search_call",
                fate="lost",
                events=_steps("file_search_call", "in_progress", "searching", "completed"),
            ),
        ),
    ),
    ToolType(
        names=("code_interpreter",),
        runs="upstream",
        hosted=True,
        items=(
            Item(
                type="code_interpreter_call",
                fate="lost",
                events=(
                    *_steps("code_interpreter_call", "in_progress", "interpreting", "completed"),
                    *_steps("code_interpreter_call_code", "delta", "done"),
                ),
            ),
        ),
    ),
    ToolType(
        names=("image_generation",),
        runs="upstream",
        hosted=True,
        items=(
            Item(
                type="image_generation_call",
                fate="image",
                events=_steps("image_generation_call", "in_progress", "generating", "partial_image", "completed"),
            ),
        ),
    ),
    ToolType(
        names=("mcp",),
        runs="upstream",
        hosted=True,
        items=(
            Item(
                type="mcp_call",
                fate="lost",
                events=(
                    *_steps("mcp_call", "in_progress", "completed", "failed"),
                    *_steps("mcp_call_arguments", "delta", "done"),
                ),
            ),
            Item(
                type="mcp_approval_request",
                fate="call",
                result=Result("mcp_approval_response", ("approval_request_id", "approve", "reason", "id")),
            ),
            Item(
                type="mcp_list_tools",
                fate="kept",
                events=_steps("mcp_list_tools", "in_progress", "completed", "failed"),
            ),
        ),
    ),
    # Run by the client, in shapes that no chat answer can hold: a request in the chat format is refused beforehand.
    ToolType(
        names=("computer", "computer_use_preview"),
        like=("computer*",),
        runs="client",
        hosted=True,
        items=(
            Item(
                type="computer_call",
                fate="lost",
                result=Result(
                    "computer_call_output", ("call_id", "output", "acknowledged_safety_checks", "id", "status")
                ),
            ),
        ),
    ),
    ToolType(
        names=("local_shell",),
        runs="client",
        hosted=True,
        items=(
            Item(
                type="local_shell_call",
                fate="lost",
                result=Result("local_shell_call_output", ("id", "output", "status")),
            ),
        ),
    ),
    ToolType(
        names=("shell",),
        runs="client",
        hosted=True,
        items=(
            Item(
                type="shell_call",
                fate="lost",
                events=(
                    *_steps("shell_call_command", "added", "delta", "done"),
                    *_steps("shell_call_output_content", "delta", "done"),
                ),
                result=Result("shell_call_output", ("call_id", "output", "max_output_length", "id", "status")),
            ),
        ),
    ),
    ToolType(
        names=("apply_patch",),
        runs="client",
        hosted=True,
        items=(
            Item(
                type="apply_patch_call",
                fate="lost",
                result=Result("apply_patch_call_output", ("call_id", "status", "output", "id")),
            ),
        ),
    ),
    ToolType(
        names=("tool_search",),
        runs="upstream",
        items=(Item(type="tool_search_call", fate="lost", result=Result("tool_search_output")),),
    ),
)
_ITEMS = tuple(item for tool in TOOL_TYPES for item in tool.items)
_ANSWERED = tuple((item, item.result) for item in _ITEMS if item.result is not None)

NESTED = tuple(name for tool in TOOL_TYPES if tool.nested for name in tool.names)
HOSTED = tuple(name for tool in TOOL_TYPES if tool.hosted for name in tool.names)
# Hosted by name, but run by the client.
RUN_BY_CLIENT = tuple(
    name for tool in TOOL_TYPES if tool.runs == "client" and not tool.nested for name in tool.like or tool.names
)
ITEM_FATES: dict[str, ItemFate] = {
    **{item.type: item.fate for item in _ITEMS},
    **{result.type: "kept" for _, result in _ANSWERED},
}
SILENT_EVENTS = tuple(event for item in _ITEMS for event in item.events)
# The typed results that a client may send, and their fields.
RESULT_FIELDS = {result.type: result.fields for _, result in _ANSWERED if result.fields}
# Those whose calls a chat answer holds, as tool calls.
RESULTS_IN_CHAT = frozenset(result.type for item, result in _ANSWERED if item.fate == "call")
