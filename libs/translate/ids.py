"""Chat ids of stored answers and back (docs/mapping.md#the-completion, #stored-completions).

`resp_x` is `chatcmpl-x`. An id of another form, as compatible servers make them, is kept whole behind a mark.
"""

# The name of Parley's own calls that ask for the approval of an MCP tool (docs/mapping.md#approvals).
APPROVAL = "mcp_approval"

_RESPONSE, _COMPLETION, _KEPT = "resp_", "chatcmpl-", "~"


def completion_id(response_id: str) -> str:
    """Return the chat id of a response."""
    rest = response_id.removeprefix(_RESPONSE)
    if rest in ("", response_id) or rest.startswith(_KEPT):
        rest = _KEPT + response_id
    return _COMPLETION + rest


def response_id(completion_id: str) -> str | None:
    """Return the id of the response that a chat id names; None where it is no id of ours."""
    rest = completion_id.removeprefix(_COMPLETION)
    if rest == completion_id or not rest:
        return None
    return rest.removeprefix(_KEPT) if rest.startswith(_KEPT) else _RESPONSE + rest
