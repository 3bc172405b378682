"""Rules on tools, tool choices and schemas."""

from collections.abc import Mapping

from simulator.rules.rule import KNOWN, SDK, Rule

TOOLS: Mapping[str, Rule] = {
    "tool_choice_unknown": Rule(
        "A tool choice that names an undeclared tool",
        "docs/mapping.md#tool-choice",
        "Tool choice '{name}' not found in 'tools' parameter.",
        "tool_choice",
    ),
    "tool_choice_alone": Rule(
        "`tool_choice: required` without tools",
        f"docs/mapping.md#tool-choice; wording: {KNOWN}",
        "Tool choice 'required' must be specified with 'tools' parameter.",
        "tool_choice",
    ),
    "mcp_server": Rule(
        "An mcp tool without `server_url`, `connector_id` or `tunnel_id`",
        f"{SDK}; wording: {KNOWN}",
        "Missing required parameter: one of '{param}.server_url' or '{param}.connector_id' is required.",
        "{param}",
        "missing_required_parameter",
    ),
    "function_schema": Rule(
        "A function schema that is no object, or breaks the strict rules while `strict` is true",
        f"docs/mapping.md#what-an-upstream-refuses; wording: {KNOWN}",
        "Invalid schema for function '{name}': {fault}",
        "{param}",
        "invalid_function_parameters",
    ),
    "format_schema": Rule(
        "A `text.format` schema that is no object, or breaks the strict rules while `strict` is true",
        f"docs/mapping.md#response-format; wording: {KNOWN}",
        "Invalid schema for response_format '{name}': {fault}",
        "{param}",
        "invalid_json_schema",
    ),
    "chat_tool_type": Rule(
        "A hosted tool on the native chat endpoint",
        "docs/mapping.md#hosted-tools",
        "Invalid value: '{value}'. Supported values are: 'function' and 'custom'.",
        "{param}",
        "invalid_value",
    ),
    "chat_choice_alone": Rule(
        "`tool_choice` without tools on the native chat endpoint",
        "docs/mapping.md#tool-choice",
        "'tool_choice' is only allowed when 'tools' are specified.",
        "tool_choice",
    ),
}
