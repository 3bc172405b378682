"""The keys of every declared tool and tool choice, with their kinds: the SDK's `ToolParam` and `ToolChoice` (3.54)."""

from collections.abc import Mapping

from simulator.checks.fields import (
    ANY,
    ARRAY,
    BOOLEAN,
    INTEGER,
    OBJECT,
    STRING,
    STRING_OR_OBJECT,
    STRINGS,
    STRINGS_OR_OBJECT,
    Field,
)

Fields = Mapping[str, Field]

NAME_MAX = 128
_TYPE = Field(STRING, required=True)
_NAME = Field(STRING, required=True, max_length=NAME_MAX)
_CALLERS = Field(STRINGS, nullable=True)
_SIZE = Field(STRING, values=("low", "medium", "high"))
_LOCATION = Field(
    OBJECT,
    nullable=True,
    fields={
        "type": Field(STRING, values=("approximate",)),
        "city": Field(STRING, nullable=True),
        "country": Field(STRING, nullable=True),
        "region": Field(STRING, nullable=True),
        "timezone": Field(STRING, nullable=True),
    },
)
_WEB_SEARCH: Fields = {
    "type": _TYPE,
    "external_web_access": Field(BOOLEAN),
    "filters": Field(OBJECT, nullable=True),
    "search_context_size": _SIZE,
    "user_location": _LOCATION,
}
_WEB_SEARCH_PREVIEW: Fields = {
    "type": _TYPE,
    "search_content_types": Field(STRINGS),
    "search_context_size": _SIZE,
    "user_location": _LOCATION,
}
_ALONE: Fields = {"type": _TYPE}

TOOL_FIELDS: Mapping[str, Fields] = {
    "function": {
        "type": _TYPE,
        "name": _NAME,
        "description": Field(STRING, nullable=True),
        "parameters": Field(OBJECT, nullable=True, required=True),
        "strict": Field(BOOLEAN, nullable=True),
        "defer_loading": Field(BOOLEAN),
        "allowed_callers": _CALLERS,
        "output_schema": Field(OBJECT, nullable=True),
        "async": Field(BOOLEAN),
    },
    "custom": {
        "type": _TYPE,
        "name": _NAME,
        "description": Field(STRING),
        "format": Field(
            OBJECT,
            fields={
                "type": Field(STRING, required=True, values=("text", "grammar")),
                "definition": Field(STRING),
                "syntax": Field(STRING, values=("lark", "regex")),
            },
        ),
        "defer_loading": Field(BOOLEAN),
        "allowed_callers": _CALLERS,
        "async": Field(BOOLEAN),
    },
    "namespace": {
        "type": _TYPE,
        "name": _NAME,
        "description": Field(STRING, required=True),
        "tools": Field(ARRAY, required=True),
    },
    "file_search": {
        "type": _TYPE,
        "vector_store_ids": Field(STRINGS, required=True),
        "filters": Field(OBJECT, nullable=True),
        "max_num_results": Field(INTEGER),
        "ranking_options": Field(OBJECT),
    },
    "computer": _ALONE,
    "computer_use_preview": {
        "type": _TYPE,
        "display_height": Field(INTEGER, required=True),
        "display_width": Field(INTEGER, required=True),
        "environment": Field(STRING, required=True, values=("windows", "mac", "linux", "ubuntu", "browser")),
    },
    "web_search": _WEB_SEARCH,
    "web_search_2025_08_26": _WEB_SEARCH,
    "web_search_preview": _WEB_SEARCH_PREVIEW,
    "web_search_preview_2025_03_11": _WEB_SEARCH_PREVIEW,
    "mcp": {
        "type": _TYPE,
        "server_label": Field(STRING, required=True),
        "allowed_callers": _CALLERS,
        "allowed_tools": Field(STRINGS_OR_OBJECT, nullable=True),
        "authorization": Field(STRING),
        "connector_id": Field(STRING),
        "defer_loading": Field(BOOLEAN),
        "headers": Field(OBJECT, nullable=True),
        "require_approval": Field(STRING_OR_OBJECT, nullable=True, values=("always", "never")),
        "server_description": Field(STRING),
        "server_url": Field(STRING),
        "tunnel_id": Field(STRING),
    },
    "code_interpreter": {
        "type": _TYPE,
        "container": Field(STRING_OR_OBJECT, required=True),
        "allowed_callers": _CALLERS,
    },
    "programmatic_tool_calling": _ALONE,
    "image_generation": {
        "type": _TYPE,
        "action": Field(STRING, values=("generate", "edit", "auto")),
        "background": Field(STRING, values=("transparent", "opaque", "auto")),
        "complexity": Field(STRING, values=("low", "medium", "high")),
        "frame_count": Field(INTEGER),
        "frame_duration_ms": Field(INTEGER),
        "input_fidelity": Field(STRING, nullable=True, values=("high", "low")),
        "input_image_mask": Field(OBJECT),
        "model": Field(STRING),
        "moderation": Field(STRING, values=("auto", "low")),
        "output_compression": Field(INTEGER),
        "output_format": Field(STRING, values=("png", "webp", "jpeg", "gif", "svg")),
        "partial_images": Field(INTEGER),
        "quality": Field(STRING, values=("low", "medium", "high", "xhigh", "max", "auto")),
        "size": Field(STRING),
        "svg": Field(OBJECT),
    },
    "local_shell": _ALONE,
    "shell": {"type": _TYPE, "allowed_callers": _CALLERS, "environment": Field(OBJECT, nullable=True)},
    "tool_search": {
        "type": _TYPE,
        "description": Field(STRING, nullable=True),
        "execution": Field(STRING, values=("server", "client")),
        "parameters": Field(ANY, nullable=True),
    },
    "apply_patch": {"type": _TYPE, "allowed_callers": _CALLERS},
}
TOOL_TYPES = tuple(TOOL_FIELDS)

CHOICE_FIELDS: Mapping[str, Fields] = {
    "function": {"type": _TYPE, "name": Field(STRING, required=True)},
    "custom": {"type": _TYPE, "name": Field(STRING, required=True)},
    "allowed_tools": {
        "type": _TYPE,
        "mode": Field(STRING, required=True, values=("auto", "required")),
        "tools": Field(ARRAY, required=True),
    },
    "mcp": {"type": _TYPE, "server_label": Field(STRING, required=True), "name": Field(STRING, nullable=True)},
    **{
        type: _ALONE
        for type in (
            "file_search",
            "web_search",
            "web_search_preview",
            "web_search_preview_2025_03_11",
            "computer",
            "computer_use",
            "computer_use_preview",
            "image_generation",
            "code_interpreter",
            "programmatic_tool_calling",
            "apply_patch",
            "shell",
        )
    },
}
