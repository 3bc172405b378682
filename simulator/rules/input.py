"""Rules on input items: media, pairs of calls and results, reasoning that is replayed."""

from collections.abc import Mapping

from simulator.rules.rule import KNOWN, SDK, Rule

INPUT: Mapping[str, Rule] = {
    "image_url_type": Rule(
        "`image_url` in chat's nested form",
        "reference A.2.2",
        "Invalid type for '{param}': expected an image URL, but got {got} instead.",
        "{param}",
        "invalid_type",
    ),
    "image_url_format": Rule(
        "An `image_url` that is neither http(s) nor a base64 data URL of an image",
        f"reference A.2.2; wording: {KNOWN}",
        "Invalid '{param}'. Expected a valid URL or a base64-encoded data URL with an image MIME type "
        "(e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got a value with an invalid format.",
        "{param}",
        "invalid_value",
    ),
    "file_data_format": Rule(
        "`file_data` that is no base64 data URL",
        "reference A.2.2",
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
        "reference A.2.1, E",
        "No tool call found for {words} output with call_id {call_id}.",
        "input",
    ),
    "missing_output": Rule(
        "A call without its result, also one at the end of a chain or a conversation",
        "reference A.2.1, E",
        "No tool output found for {words} {call_id}.",
        "input",
    ),
    "unapproved": Rule(
        "An MCP approval request that the next request does not answer",
        f"reference B.2; wording: {KNOWN}",
        "The following MCP approval requests do not have an approval: {call_id}",
        "input",
    ),
    "reasoning_alone": Rule(
        "A reasoning item with an id that is not followed by the item it led to, under that item's own id",
        "reference E; recorded test_openai_responses_thinking_with_modified_history",
        "Item '{id}' of type 'reasoning' was provided without its required following item.",
        "input",
    ),
    "reasoning_absent": Rule(
        "An item with its id, made right after a reasoning item, without that reasoning item",
        "reference E",
        "Item '{id}' of type '{type}' was provided without its required 'reasoning' item: '{reasoning_id}'.",
        "input",
    ),
    "encrypted_content": Rule(
        "Encrypted reasoning or compaction of another account, or changed since it was issued",
        "reference E",
        "The encrypted content could not be verified. Reason: it could not be decrypted or parsed.",
        code="invalid_encrypted_content",
    ),
    "item_not_found": Rule(
        "An item reference, or reasoning without encrypted content, whose item is not stored",
        "reference E",
        "Item with id '{id}' not found.",
        "input",
        status=404,
    ),
    "item_not_persisted": Rule(
        "Reasoning replayed without encrypted content under `store: false`, or made under it",
        "reference E",
        "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with `store` "
        "set to true, or remove this item from your input.",
        "input",
        status=404,
    ),
    "json_word": Rule(
        "`json_object` without the word json in the input messages",
        "reference A.2.3",
        "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.",
        "input",
    ),
    "chat_json_word": Rule(
        "`json_object` without the word json in the messages of the native chat endpoint",
        "reference A.5",
        "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
        "messages",
    ),
    "trigger_last": Rule(
        "A `compaction_trigger` that is not the last input item",
        "reference E (compaction)",
        "A 'compaction_trigger' must be the last input item.",
        "{param}",
        "invalid_value",
    ),
    "chat_orphan_tool": Rule(
        "A tool message without its assistant message on the native chat endpoint",
        "reference A.2.1",
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
        "messages.[{position}].role",
    ),
    "chat_missing_tool": Rule(
        "Tool calls without their tool messages on the native chat endpoint",
        "reference A.2.1",
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        "The following tool_call_ids did not have response messages: {call_ids}",
        "messages.[{position}].role",
    ),
}
