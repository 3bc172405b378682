"""The keys of every input item, with their kinds: one row per member of the SDK's `ResponseInputItemParam` (3.54).

Null is allowed where the SDK's type is optional. Required is what the API needs to read an item: ids and statuses of
its own items may be left out, as the easy forms do.
"""

from collections.abc import Mapping

from simulator.checks.fields import ANY, ARRAY, BOOLEAN, INTEGER, OBJECT, STRING, STRING_OR_ARRAY, STRINGS, Field

Fields = Mapping[str, Field]

_TYPE = Field(STRING)
_ID = Field(STRING)
_OPTIONAL_ID = Field(STRING, nullable=True)
_NEEDED_ID = Field(STRING, required=True)
_NEEDED = Field(STRING, required=True)
_CALL_ID = Field(STRING, required=True, max_length=64)
_CALLER = Field(OBJECT, nullable=True)
_STATES = ("in_progress", "completed", "incomplete")
_STATUS = Field(STRING, values=_STATES)
_OPTIONAL_STATUS = Field(STRING, nullable=True, values=_STATES)
_EXECUTION = Field(STRING, values=("server", "client"))
_OPTIONAL = Field(STRING, nullable=True)


def _status(*values: str) -> Field:
    return Field(STRING, values=values)


ITEM_FIELDS: dict[str, Fields] = {
    "message": {
        "type": _TYPE,
        "role": _NEEDED,
        "content": Field(STRING_OR_ARRAY, required=True),
        "id": _ID,
        "status": _STATUS,
        "phase": Field(STRING, nullable=True, values=("commentary", "final_answer")),
    },
    "function_call": {
        "type": _TYPE,
        "id": _ID,
        "call_id": _CALL_ID,
        "name": _NEEDED,
        "arguments": _NEEDED,
        "status": _STATUS,
        "namespace": Field(STRING),
        "async": Field(BOOLEAN),
        "caller": _CALLER,
    },
    "function_call_output": {
        "type": _TYPE,
        "id": _OPTIONAL_ID,
        # Null where `name` tells which call is meant; the simulator pairs by call id alone.
        "call_id": _CALL_ID,
        "output": Field(STRING_OR_ARRAY, required=True),
        "status": _OPTIONAL_STATUS,
        "name": _OPTIONAL,
        "namespace": _OPTIONAL,
        "caller": _CALLER,
    },
    "custom_tool_call": {
        "type": _TYPE,
        "id": _ID,
        "call_id": _CALL_ID,
        "name": _NEEDED,
        "input": _NEEDED,
        # Not in the SDK's type, but on the live wire: a replayed item carries it.
        "status": _STATUS,
        "namespace": Field(STRING),
        "async": Field(BOOLEAN),
        "caller": _CALLER,
    },
    "custom_tool_call_output": {
        "type": _TYPE,
        "id": _ID,
        "call_id": _CALL_ID,
        "output": Field(STRING_OR_ARRAY, required=True),
        "caller": _CALLER,
    },
    "reasoning": {
        "type": _TYPE,
        "id": _ID,
        "summary": Field(ARRAY, required=True),
        "content": Field(ARRAY),
        "encrypted_content": _OPTIONAL,
        "status": _STATUS,
    },
    "item_reference": {"type": Field(STRING, nullable=True), "id": _NEEDED_ID},
    "file_search_call": {
        "type": _TYPE,
        "id": _NEEDED_ID,
        "queries": Field(STRINGS, required=True),
        "status": _status("in_progress", "searching", "completed", "incomplete", "failed"),
        "results": Field(ARRAY, nullable=True),
    },
    "computer_call": {
        "type": _TYPE,
        "id": _NEEDED_ID,
        "call_id": _CALL_ID,
        "pending_safety_checks": Field(ARRAY, required=True),
        "status": _STATUS,
        "action": Field(OBJECT),
        "actions": Field(ARRAY),
    },
    "computer_call_output": {
        "type": _TYPE,
        "id": _OPTIONAL_ID,
        "call_id": _CALL_ID,
        "output": Field(OBJECT, required=True),
        "acknowledged_safety_checks": Field(ARRAY, nullable=True),
        "status": _OPTIONAL_STATUS,
    },
    "web_search_call": {
        "type": _TYPE,
        "id": _NEEDED_ID,
        "action": Field(OBJECT),
        "status": _status("in_progress", "searching", "completed", "incomplete", "failed"),
    },
    "tool_search_call": {
        "type": _TYPE,
        "id": _OPTIONAL_ID,
        "arguments": Field(ANY, required=True),
        "call_id": _OPTIONAL,
        "execution": _EXECUTION,
        "status": _OPTIONAL_STATUS,
    },
    "tool_search_output": {
        "type": _TYPE,
        "id": _OPTIONAL_ID,
        "tools": Field(ARRAY, required=True),
        "call_id": _OPTIONAL,
        "execution": _EXECUTION,
        "status": _OPTIONAL_STATUS,
    },
    "additional_tools": {
        "type": _TYPE,
        "id": _OPTIONAL_ID,
        "role": Field(STRING, required=True, values=("developer",)),
        "tools": Field(ARRAY, required=True),
    },
    "configuration_update": {
        "type": _TYPE,
        "id": _OPTIONAL_ID,
        "reasoning": Field(OBJECT),
        "text": Field(OBJECT),
    },
    "compaction": {"type": _TYPE, "id": _OPTIONAL_ID, "encrypted_content": _NEEDED},
    "image_generation_call": {
        "type": _TYPE,
        "id": _NEEDED_ID,
        "result": _OPTIONAL,
        "status": _status("in_progress", "completed", "generating", "failed"),
        "action": _OPTIONAL,
        "background": _OPTIONAL,
        "error": Field(OBJECT),
        "output_format": _OPTIONAL,
        "quality": _OPTIONAL,
        "revised_prompt": _OPTIONAL,
        "size": _OPTIONAL,
        "svg_usage": Field(OBJECT),
    },
    "code_interpreter_call": {
        "type": _TYPE,
        "id": _NEEDED_ID,
        "code": _OPTIONAL,
        "container_id": _NEEDED,
        "outputs": Field(ARRAY, nullable=True),
        "status": _status("in_progress", "completed", "incomplete", "interpreting", "failed"),
    },
    "local_shell_call": {
        "type": _TYPE,
        "id": _NEEDED_ID,
        "action": Field(OBJECT, required=True),
        "call_id": _CALL_ID,
        "status": _STATUS,
    },
    "local_shell_call_output": {
        "type": _TYPE,
        "id": _NEEDED_ID,
        "output": _NEEDED,
        "status": _OPTIONAL_STATUS,
    },
    "shell_call": {
        "type": _TYPE,
        "id": _OPTIONAL_ID,
        "action": Field(OBJECT, required=True),
        "call_id": _CALL_ID,
        "caller": _CALLER,
        "environment": Field(OBJECT, nullable=True),
        "status": _OPTIONAL_STATUS,
    },
    "shell_call_output": {
        "type": _TYPE,
        "id": _OPTIONAL_ID,
        "call_id": _CALL_ID,
        "output": Field(ARRAY, required=True),
        "caller": _CALLER,
        "max_output_length": Field(INTEGER, nullable=True),
        "status": _OPTIONAL_STATUS,
    },
    "apply_patch_call": {
        "type": _TYPE,
        "id": _OPTIONAL_ID,
        "call_id": _CALL_ID,
        "operation": Field(OBJECT, required=True),
        "status": _status("in_progress", "completed"),
        "caller": _CALLER,
    },
    "apply_patch_call_output": {
        "type": _TYPE,
        "id": _OPTIONAL_ID,
        "call_id": _CALL_ID,
        "status": Field(STRING, required=True, values=("completed", "failed")),
        "caller": _CALLER,
        "output": _OPTIONAL,
    },
    "mcp_list_tools": {
        "type": _TYPE,
        "id": _NEEDED_ID,
        "server_label": _NEEDED,
        "tools": Field(ARRAY, required=True),
        "error": _OPTIONAL,
    },
    "mcp_approval_request": {
        "type": _TYPE,
        "id": _NEEDED_ID,
        "arguments": _NEEDED,
        "name": _NEEDED,
        "server_label": _NEEDED,
    },
    "mcp_approval_response": {
        "type": _TYPE,
        "approval_request_id": _NEEDED,
        "approve": Field(BOOLEAN, required=True),
        "id": _OPTIONAL_ID,
        "reason": _OPTIONAL,
    },
    "mcp_call": {
        "type": _TYPE,
        "id": _NEEDED_ID,
        "arguments": _NEEDED,
        "name": _NEEDED,
        "server_label": _NEEDED,
        "approval_request_id": _OPTIONAL,
        "error": Field(ANY, nullable=True),
        "output": _OPTIONAL,
        "status": _status("in_progress", "completed", "incomplete", "calling", "failed"),
    },
    "compaction_trigger": {"type": _TYPE, "id": _OPTIONAL_ID},
    "program": {
        "type": _TYPE,
        "id": _NEEDED_ID,
        "call_id": _CALL_ID,
        "code": _NEEDED,
        "fingerprint": _NEEDED,
    },
    "program_output": {
        "type": _TYPE,
        "id": _NEEDED_ID,
        "call_id": _CALL_ID,
        "result": _NEEDED,
        "status": _status("completed", "incomplete"),
    },
}

# The prefix an item's own id begins with (docs/mapping.md#messages, #output-items, and the recordings).
ID_PREFIXES: dict[str, str] = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fc",
    "custom_tool_call": "ct",
    "custom_tool_call_output": "ct",
    "reasoning": "rs",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "image_generation_call": "ig",
    "computer_call": "cu",
    "computer_call_output": "cu",
    "local_shell_call": "lsh",
    "shell_call": "sh",
    "shell_call_output": "sh",
    "apply_patch_call": "apc",
    "apply_patch_call_output": "apc",
    "mcp_list_tools": "mcpl",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcp",
    "tool_search_call": "tsc",
    "tool_search_output": "tso",
    "compaction": "cmp",
}
