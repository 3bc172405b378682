"""Rules on what is kept: parents, conversations, background responses."""

from collections.abc import Mapping

from simulator.rules.rule import KNOWN, Rule

STATE: Mapping[str, Rule] = {
    "two_parents": Rule(
        "`previous_response_id` together with `conversation`",
        "docs/mapping.md#what-an-upstream-keeps",
        "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Ensure you are only providing one "
        "of them.",
        "previous_response_id",
        "mutually_exclusive_parameters",
    ),
    "previous_response_id": Rule(
        "A `previous_response_id` that does not begin with `resp`",
        "docs/mapping.md#what-an-upstream-keeps",
        "Invalid 'previous_response_id': '{id}'. Expected an ID that begins with 'resp'.",
        "previous_response_id",
        "invalid_value",
    ),
    "previous_response_not_found": Rule(
        "A parent that is unknown, unstored, expired, deleted, unfinished or another account's",
        "docs/mapping.md#what-an-upstream-keeps",
        "Previous response with id '{id}' not found.",
        "previous_response_id",
        "previous_response_not_found",
    ),
    "not_found": Rule(
        "A response, conversation or file that is not there, or is another account's",
        "docs/mapping.md#what-an-upstream-keeps, #what-an-upstream-refuses",
        "{kind} with id '{id}' not found.",
        status=404,
    ),
    "conversation_locked": Rule(
        "A conversation that another request is working on",
        "docs/mapping.md#what-an-upstream-keeps",
        "Another process is currently operating on this conversation. Please retry in a few seconds.",
        "conversation",
        "conversation_locked",
    ),
    "cancel_synchronous": Rule(
        "Cancelling a response that was not made in the background",
        f"docs/mapping.md#what-an-upstream-keeps; wording: {KNOWN}",
        "Cannot cancel a synchronous response.",
    ),
    "stream_not_kept": Rule(
        "Streaming a kept response that was not made with `background` and `stream`",
        f"docs/mapping.md#what-an-upstream-keeps; wording: {KNOWN}",
        "This response cannot be streamed because it was not created with background=true and stream=true.",
        "stream",
    ),
    "too_many_items": Rule(
        "More than 20 items to a conversation at once",
        "docs/mapping.md#what-an-upstream-keeps",
        "Invalid '{param}': array too long. Expected an array with maximum length {limit}, but got an array with "
        "length {count} instead.",
        "{param}",
        "array_above_max_length",
    ),
}
