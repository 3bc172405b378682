"""Rules on a request as a whole: its form, its credentials, the kinds and bounds of its parameters."""

from collections.abc import Mapping

from simulator.rules.rule import KNOWN, SDK, Rule

REQUEST: Mapping[str, Rule] = {
    "bad_json": Rule(
        "A body that is not one JSON object",
        "docs/mapping.md#what-an-upstream-refuses",
        "We could not parse the JSON body of your request. The body must be one JSON object.",
    ),
    "bad_multipart": Rule(
        "An upload whose multipart body cannot be read to its end",
        KNOWN,
        "The multipart body could not be read: {fault}.",
    ),
    "missing_key": Rule(
        "A request without a bearer",
        "docs/mapping.md#what-an-upstream-refuses",
        "Missing bearer authentication in header",
        code="invalid_api_key",
        status=401,
    ),
    "wrong_key": Rule(
        "A bearer that begins with `invalid`",
        "docs/mapping.md#what-an-upstream-refuses",
        "Incorrect API key provided: {shown}.",
        code="invalid_api_key",
        status=401,
    ),
    "invalid_url": Rule(
        "An unknown path, or a method it does not take",
        "docs/mapping.md#what-an-upstream-refuses",
        "Invalid URL ({method} {path})",
        status=404,
    ),
    "unknown_parameter": Rule(
        "A key that the tables of parameters, items, parts, tools, text and reasoning do not hold",
        f"docs/mapping.md#what-an-upstream-refuses; {SDK}",
        "Unknown parameter: '{param}'.",
        "{param}",
        "unknown_parameter",
    ),
    "missing_parameter": Rule(
        "A required key that is absent, or null where null is not allowed to stand for a value",
        f"docs/mapping.md#what-an-upstream-refuses; {SDK}",
        "Missing required parameter: '{param}'.",
        "{param}",
        "missing_required_parameter",
    ),
    "invalid_type": Rule(
        "A value of another JSON type, null included where the SDK's type is not optional",
        f"docs/mapping.md#what-an-upstream-refuses; {SDK}",
        "Invalid type for '{param}': expected {expected}, but got {got} instead.",
        "{param}",
        "invalid_type",
    ),
    "invalid_value": Rule(
        "A value outside a closed set: item and tool types, roles, parts of a role, include, status, detail",
        f"docs/mapping.md#what-an-upstream-refuses; {SDK}",
        "Invalid value: '{value}'. Supported values are: {supported}.",
        "{param}",
        "invalid_value",
    ),
    "out_of_range": Rule(
        "`max_output_tokens` below 16, `temperature` outside 0..2, `top_p` outside 0..1, `top_logprobs` outside 0..20",
        "docs/mapping.md#what-an-upstream-refuses; recorded test_openai_responses_model_http_error",
        "Invalid '{param}': {kind} {words} value. Expected a value {sign} {bound}, but got {got} instead.",
        "{param}",
        "{kind}_{side}_value",
    ),
    "string_too_long": Rule(
        "`call_id` over 64 characters, names over 64, cache keys over 64, metadata values over 512",
        f"docs/mapping.md#what-an-upstream-refuses; {SDK}",
        "Invalid '{param}': string too long. Expected a string with maximum length {limit}, "
        "but got a string with length {length} instead.",
        "{param}",
        "string_above_max_length",
    ),
    "empty_string": Rule(
        "An empty `call_id`",
        "docs/mapping.md#what-an-upstream-refuses",
        "Invalid '{param}': empty string. Expected a string with minimum length 1, but got an empty string instead.",
        "{param}",
        "empty_string",
    ),
    "empty_array": Rule(
        "No messages on the native chat endpoint",
        "recorded chat-no-messages",
        "Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        "{param}",
        "empty_array",
    ),
    "too_many_properties": Rule(
        "More than 16 pairs of metadata",
        "docs/mapping.md#what-an-upstream-refuses",
        "Invalid '{param}': too many properties. Expected an object with at most {limit} properties, "
        "but got an object with {count} properties instead.",
        "{param}",
        "object_above_max_properties",
    ),
    "pattern": Rule(
        "A tool or format name with other characters than letters, digits, _ and -",
        "docs/mapping.md#what-an-upstream-refuses",
        "Invalid '{param}': string does not match pattern. Expected a string that matches the pattern "
        "'^[a-zA-Z0-9_-]+$'.",
        "{param}",
        "invalid_value",
    ),
    "id_prefix": Rule(
        "An item's own id with the prefix of another type",
        "docs/mapping.md#what-an-upstream-refuses",
        "Invalid '{param}': '{id}'. Expected an ID that begins with '{prefix}'.",
        "{param}",
        "invalid_value",
    ),
    "stream_options": Rule(
        "`stream_options` without `stream`",
        "docs/mapping.md#what-an-upstream-refuses",
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        "stream_options",
    ),
    "background_unstored": Rule(
        "`background` with `store: false`",
        "docs/mapping.md#what-an-upstream-keeps",
        "Background mode requires 'store' to be true.",
        "background",
    ),
}
