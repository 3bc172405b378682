"""Scenarios that are chosen by the model's name: directives that stand behind the user's own."""

from collections.abc import Mapping

SCENARIO_MODELS: Mapping[str, str] = {
    "sim-text": "[[text: Simulated text.]]",
    "sim-plain-text": "[[text: Simulated text.]]",
    "sim-phases": "[[commentary: Let me think.]] [[text: Done.]]",
    "sim-parallel-tools": '[[call: get_weather {"city":"Paris"}]] [[call: get_time {"city":"Paris"}]]',
    "sim-overlapping-tools": '[[call: get_weather {"city":"Paris"}]] [[call: get_time {}]] [[overlap]]',
    "sim-custom-tool": "[[custom: write_sql SELECT 1]]",
    "sim-text-and-tool": '[[text: One moment.]] [[call: get_weather {"city":"Paris"}]]',
    "sim-reasoning": "[[summary: First.]] [[summary: Second.]] [[text: Thought through.]]",
    "sim-raw-reasoning": "[[thought: Raw thoughts.]] [[text: Thought through.]]",
    "sim-refusal": "[[refuse]]",
    "sim-length": "[[text: This sentence is cut off.]] [[length]]",
    "sim-length-in-reasoning": "[[length: reasoning]]",
    "sim-content-filter": "[[text: This sentence is cut off.]] [[content_filter]]",
    "sim-failed": "[[fail: server_error The model fell over.]]",
    "sim-error": "[[text: Half of it.]] [[error-midstream: server_error The model fell over.]]",
    "sim-error-flat": "[[text: Half of it.]] [[error-flat: server_error The model fell over.]]",
    "sim-queued": "[[queued]] [[keepalive: 2]] [[text: After a while.]]",
    "sim-web-search": "[[use: web_search simulated news]] [[cite: https://example.com/a Page]] [[text: Found it.]]",
    "sim-file-search": "[[use: file_search simulated]] [[cite-file: file-1 a.pdf]] [[text: Found it.]]",
    "sim-code-interpreter": "[[use: code_interpreter 1+1]] [[cite-container: cntr_1 a.png]] [[text: It is 2.]]",
    "sim-image": "[[use: image_generation a cat]] [[text: Here it is.]]",
    "sim-mcp": "[[use: mcp look]] [[text: Looked up.]]",
    "sim-mcp-approval": "[[use: mcp-approval look]]",
    "sim-mcp-failed": "[[use: mcp-failed look]] [[text: It failed.]]",
    "sim-shell": "[[use: shell]]",
    "sim-shell-container": "[[use: shell-container]] [[text: It ran.]]",
    "sim-local-shell": "[[use: local_shell]]",
    "sim-apply-patch": "[[use: apply_patch]]",
    "sim-computer": "[[use: computer]]",
    "sim-tool-search": "[[use: tool_search weather]] [[text: Found none.]]",
    "sim-audio": "[[audio]] [[text: Spoken text.]]",
    "sim-annotations": "[[cite: https://example.com/a A]] [[cite-file: file-1 a.pdf]] [[cite-path: file-2]] "
    "[[cite-container: cntr_1 a.png]] [[text: Cited text.]]",
}


def directives_of(model: str) -> str:
    """The directives of a scenario model, "" for any other."""
    return SCENARIO_MODELS.get(model, "")
