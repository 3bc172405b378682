"""Rules on input items: media, pairs of calls and results, reasoning that is replayed."""

from collections.abc import Mapping

from simulator.rules.rule import KNOWN, SDK, Rule

INPUT: Mapping[str, Rule] = {
    "image_url_type": Rule(
        "`image_url` in chat's nested form",
        "docs/mapping.md#content-parts",
        "Invalid type for '{param}': expected an image URL, but got {got} instead.",
        "{param}",
        "invalid_type",
    ),
    "image_url_format": Rule(
        "An `image_url` that is neither http(s) nor a base64 data URL of an image",
        f"docs/mapping.md#content-parts; wording: {KNOWN}",
        "Invalid '{param}'. Expected a valid URL or a base64-encoded data URL with an image MIME type "
        "(e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got a value with an invalid format.",
        "{param}",
        "invalid_value",
    ),
    "file_data_format": Rule(
        "`file_data` that is no base64 data URL",
        "docs/mapping.md#content-parts",
        "Invalid '{param}'. Expected a base64-encoded data URL (e.g. 'data:application/pdf;base64,"
        "aW1nIGJ5dGVzIGhlcmU='), but got a value without the 'data:' prefix.",
        "{param}",
        "invalid_value",
    ),
    "media_source": Rule(
        "An image or file part without, or with more than one of, its sources (url, data, file id)",
        f"{SDK}; wording: {KNOWN}",
        "Invalid '{param}': expected exactly one of {supported}.",
        "{param}",
        "invalid_value",
    ),
    "orphan_output": Rule(
        "A tool result without its call before it (functions, custom tools, computer, shells, apply_patch)",
        "docs/mapping.md#tool-calls-and-results, #what-an-upstream-keeps",
        "No tool call found for {words} output with call_id {call_id}.",
        "input",
    ),
    "missing_output": Rule(
        "A call without its result, also one at the end of a chain or a conversation",
        "docs/mapping.md#tool-calls-and-results, #what-an-upstream-keeps",
        "No tool output found for {words} {call_id}.",
        "input",
    ),
    "unapproved": Rule(
        "An MCP approval request that the next request does not answer",
        f"docs/mapping.md#output-items; wording: {KNOWN}",
        "The following MCP approval requests do not have an approval: {call_id}",
        "input",
    ),
    "reasoning_alone": Rule(
        "A reasoning item with an id that is not followed by the item it led to, under that item's own id",
        "docs/mapping.md#what-an-upstream-keeps; recorded test_openai_responses_thinking_with_modified_history",
        "Item '{id}' of type 'reasoning' was provided without its required following item.",
        "input",
    ),
    "reasoning_absent": Rule(
        "An item with its id, made right after a reasoning item, without that reasoning item",
        "docs/mapping.md#what-an-upstream-keeps",
        "Item '{id}' of type '{type}' was provided without its required 'reasoning' item: '{reasoning_id}'.",
        "input",
    ),
    "encrypted_content": Rule(
        "Encrypted reasoning or compaction of another account, or changed since it was issued",
        "docs/mapping.md#what-an-upstream-keeps",
        "The encrypted content could not be verified. Reason: it could not be decrypted or parsed.",
        code="invalid_encrypted_content",
    ),
    "item_not_found": Rule(
        "An item reference, or reasoning without encrypted content, whose item is not stored",
        "docs/mapping.md#what-an-upstream-keeps",
        "Item with id '{id}' not found.",
        "input",
        status=404,
    ),
    "item_not_persisted": Rule(
        "Reasoning replayed without encrypted content under `store: false`, or made under it",
        "docs/mapping.md#what-an-upstream-keeps",
        "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with `store` "
        "set to true, or remove this item from your input.",
        "input",
        status=404,
    ),
    "json_word": Rule(
        "`json_object` without the word json in the input messages",
        "docs/mapping.md#instructions",
        "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.",
        "input",
    ),
    "chat_json_word": Rule(
        "`json_object` without the word json in the messages of the native chat endpoint",
        "docs/mapping.md#response-format",
        "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
        "messages",
    ),
    "trigger_last": Rule(
        "A `compaction_trigger` that is not the last input item",
        "docs/mapping.md#what-an-upstream-keeps",
        "A 'compaction_trigger' must be the last input item.",
        "{param}",
        "invalid_value",
    ),
    "chat_orphan_tool": Rule(
        "A tool message without its assistant message on the native chat endpoint",
        "docs/mapping.md#tool-calls-and-results",
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
        "messages.[{position}].role",
    ),
    "chat_missing_tool": Rule(
        "Tool calls without their tool messages on the native chat endpoint",
        "docs/mapping.md#tool-calls-and-results",
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        "The following tool_call_ids did not have response messages: {call_ids}",
        "messages.[{position}].role",
    ),
}
