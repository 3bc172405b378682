"""Items of hosted tools: what OpenAI runs itself, with the events each shows on the way.

One maker per tool in `MAKERS`. Shapes follow the recordings where there is one, else the SDK's types.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from simulator.output import deltas
from simulator.output.items import Hosted
from simulator.wire.ids import new_call_id, new_id
from simulator.wire.json import ENCODER, Json

Events = tuple[tuple[str, Json], ...]

# The smallest PNG a reader takes: one transparent pixel.
PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
        "a5f645400000000049454e44ae426082"
    )
).decode()
_CITED_URL = "https://example.com/simulated"


@dataclass(frozen=True)
class Use:
    """One use of a hosted tool: its declaration ({} when a script forces it), what for, and what was included."""

    tool: Json = field(default_factory=dict)
    query: str = ""
    include: frozenset[str] = frozenset()


def _family(prefix: str, *steps: str) -> Events:
    return tuple((f"response.{prefix}.{step}", {}) for step in steps)


def _deltas(family: str, text: str) -> Events:
    return tuple(
        (f"response.{family}.delta", {"delta": delta, "obfuscation": deltas.pad(delta)}) for delta in deltas.code(text)
    )


def web_search(use: Use) -> list[Hosted]:
    action: Json = {"type": "search", "query": use.query, "queries": [use.query]}
    done = dict(action)
    if "web_search_call.action.sources" in use.include:
        done["sources"] = [{"type": "url", "url": _CITED_URL}]
    item = {"id": new_id("ws"), "type": "web_search_call"}
    events = _family("web_search_call", "in_progress", "searching", "completed")
    return [
        Hosted(
            {**item, "status": "in_progress", "action": action}, {**item, "status": "completed", "action": done}, events
        )
    ]


def file_search(use: Use) -> list[Hosted]:
    result = {
        "attributes": {},
        "file_id": "file-simulated",
        "filename": "simulated.pdf",
        "score": 0.9,
        "text": "Found.",
    }
    results = [result] if "file_search_call.results" in use.include else None
    item = {"id": new_id("fs"), "type": "file_search_call"}
    added: Json = {**item, "status": "in_progress", "queries": [], "results": None}
    done = {**item, "status": "completed", "queries": [use.query], "results": results}
    return [Hosted(added, done, _family("file_search_call", "in_progress", "searching", "completed"))]


def code_interpreter(use: Use) -> list[Hosted]:
    code = f"answer = len({use.query!r})\nprint(answer)"
    container = use.tool.get("container")
    item = {
        "id": new_id("ci"),
        "type": "code_interpreter_call",
        "container_id": container if isinstance(container, str) else "cntr_simulated",
    }
    outputs = [{"type": "logs", "logs": str(len(use.query))}]
    added = {**item, "status": "in_progress", "code": "", "outputs": None}
    shown = outputs if "code_interpreter_call.outputs" in use.include else None
    done = {**item, "status": "completed", "code": code, "outputs": shown}
    events = (
        *_family("code_interpreter_call", "in_progress"),
        *_deltas("code_interpreter_call_code", code),
        ("response.code_interpreter_call_code.done", {"code": code}),
        *_family("code_interpreter_call", "interpreting", "completed"),
    )
    return [Hosted(added, done, events)]


def image_generation(use: Use) -> list[Hosted]:
    asked = {"background": "opaque", "output_format": "png", "quality": "low", "size": "1024x1024"}
    look = {name: use.tool.get(name, value) for name, value in asked.items()}
    look["background"] = look["background"] if look["background"] != "auto" else "opaque"
    item = {"id": new_id("ig"), "type": "image_generation_call"}
    partial = tuple(
        (
            "response.image_generation_call.partial_image",
            {"partial_image_b64": PIXEL, "partial_image_index": index, **look},
        )
        for index in range(use.tool.get("partial_images", 1))
    )
    added = {**item, "status": "in_progress"}
    done = {**item, "status": "completed", **look, "result": PIXEL, "revised_prompt": use.query}
    events = (
        *_family("image_generation_call", "in_progress", "generating"),
        *partial,
        *_family("image_generation_call", "completed"),
    )
    return [Hosted(added, done, events)]


def computer(use: Use) -> list[Hosted]:
    item = {"id": new_id("cu"), "type": "computer_call", "call_id": new_call_id(), "pending_safety_checks": []}
    acted = {**item, "actions": [{"type": "screenshot"}]}
    return [Hosted({**acted, "status": "in_progress"}, {**acted, "status": "completed"}, by_client=True)]


def local_shell(use: Use) -> list[Hosted]:
    item = {"id": new_id("lsh"), "type": "local_shell_call"}
    call_id = new_call_id()
    added = {**item, "status": "in_progress", "action": _command([]), "call_id": call_id}
    done = {**item, "status": "completed", "action": _command(["ls", "-a"]), "call_id": call_id}
    return [Hosted(added, done, by_client=True)]


def _command(words: list[str]) -> Json:
    return {"type": "exec", "command": words, "env": {}}


def shell(use: Use) -> list[Hosted]:
    environment = use.tool.get("environment") or {"type": "local"}
    call_id, command = new_call_id(), "echo Hello && uname"
    runs_here = environment["type"] != "local"
    container_id = environment.get("container_id", "cntr_simulated")
    item: Json = {
        "id": new_id("sh"),
        "type": "shell_call",
        "call_id": call_id,
        "environment": {"type": "container_reference", "container_id": container_id} if runs_here else environment,
    }
    limits = {"max_output_length": None, "timeout_ms": None}
    command_deltas = tuple(
        ("response.shell_call_command.delta", {"command_index": 0, "delta": delta, "obfuscation": deltas.pad(delta)})
        for delta in deltas.code(command)
    )
    events = (
        ("response.shell_call_command.added", {"command_index": 0, "command": ""}),
        *command_deltas,
        ("response.shell_call_command.done", {"command_index": 0, "command": command}),
    )
    call = Hosted(
        {**item, "status": "in_progress", "action": {"commands": [], **limits}},
        {**item, "status": "completed", "action": {"commands": [command], **limits}},
        events,
        by_client=not runs_here,
    )
    return [call, _shell_output(call_id)] if runs_here else [call]


def _shell_output(call_id: str) -> Hosted:
    written = {"outcome": {"type": "exit", "exit_code": 0}, "stderr": "", "stdout": "Hello\nLinux\n"}
    item = {"id": new_id("sho"), "type": "shell_call_output", "call_id": call_id, "max_output_length": None}
    events: Events = (
        ("response.shell_call_output_content.delta", {"command_index": 0, "delta": {"stdout": written["stdout"]}}),
        ("response.shell_call_output_content.done", {"command_index": 0, "output": [written]}),
    )
    return Hosted(
        {**item, "status": "completed", "output": []}, {**item, "status": "completed", "output": [written]}, events
    )


def apply_patch(use: Use) -> list[Hosted]:
    """The diff events are on the live wire (recorded), though the SDK's union has no type for them."""
    item = {"id": new_id("apc"), "type": "apply_patch_call"}
    call_id, diff = new_call_id(), "+# Simulated\n+\n+- one line\n"
    operation = {"type": "create_file", "diff": "", "path": "simulated.md"}
    events = (
        *_deltas("apply_patch_call_operation_diff", diff),
        ("response.apply_patch_call_operation_diff.done", {"diff": diff}),
    )
    added = {**item, "status": "in_progress", "call_id": call_id, "operation": operation}
    done = {**item, "status": "completed", "call_id": call_id, "operation": {**operation, "diff": diff}}
    return [Hosted(added, done, events, by_client=True)]


def tool_search(use: Use) -> list[Hosted]:
    by_client = use.tool.get("execution") == "client"
    arguments: Json = {"goal": use.query} if by_client else {"paths": list(use.tool.get("paths", ()))}
    item: Json = {
        "id": new_id("tsc"),
        "type": "tool_search_call",
        "call_id": new_call_id() if by_client else None,
        "execution": "client" if by_client else "server",
    }
    call = Hosted(
        {**item, "status": "in_progress", "arguments": {}},
        {**item, "status": "completed", "arguments": arguments},
        by_client=by_client,
    )
    if by_client:
        return [call]
    output = {
        "id": new_id("tso"),
        "type": "tool_search_output",
        "call_id": None,
        "execution": "server",
        "tools": list(use.tool.get("found", ())),
    }
    return [call, Hosted({**output, "status": "in_progress"}, {**output, "status": "completed"})]


def mcp_list(use: Use, fails: bool = False) -> list[Hosted]:
    listed = {
        "annotations": {"read_only": True},
        "description": "Look something up.",
        "input_schema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
        "name": _mcp_name(use),
    }
    item = {"id": new_id("mcpl"), "type": "mcp_list_tools", "server_label": _label(use), "tools": []}
    done = {**item, "error": "The server did not answer."} if fails else {**item, "tools": [listed]}
    return [Hosted(item, done, _family("mcp_list_tools", "in_progress", "failed" if fails else "completed"))]


def mcp_request(use: Use) -> list[Hosted]:
    item = {
        "id": new_id("mcpr"),
        "type": "mcp_approval_request",
        "arguments": _mcp_arguments(use),
        "name": _mcp_name(use),
        "server_label": _label(use),
    }
    return [Hosted(item, item, by_client=True)]


def mcp_call(use: Use, fails: bool = False, approval_id: str | None = None) -> list[Hosted]:
    arguments = _mcp_arguments(use)
    item = {
        "id": new_id("mcp"),
        "type": "mcp_call",
        "approval_request_id": approval_id,
        "name": _mcp_name(use),
        "server_label": _label(use),
    }
    error = {"type": "http_error", "code": 503, "message": "The server did not answer."}
    outcome: Json = {"error": error, "output": None} if fails else {"error": None, "output": "Found one entry."}
    events = (
        *_family("mcp_call", "in_progress"),
        *_deltas("mcp_call_arguments", arguments),
        ("response.mcp_call_arguments.done", {"arguments": arguments}),
        *_family("mcp_call", "failed" if fails else "completed"),
    )
    added = {**item, "status": "in_progress", "arguments": "", "error": None, "output": None}
    done = {**item, "status": "failed" if fails else "completed", "arguments": arguments, **outcome}
    return [Hosted(added, done, events)]


def _label(use: Use) -> str:
    return str(use.tool.get("server_label", "simulated"))


def _mcp_name(use: Use) -> str:
    allowed = use.tool.get("allowed_tools")
    return str(allowed[0]) if isinstance(allowed, list) and allowed else "lookup"


def _mcp_arguments(use: Use) -> str:
    return ENCODER.encode({"query": use.query}).decode()


def program(use: Use) -> list[Hosted]:
    call_id = new_call_id()
    code = {
        "id": new_id("prog"),
        "type": "program",
        "call_id": call_id,
        "code": "print(1)",
        "fingerprint": "simulated",
    }
    output = {
        "id": new_id("prog"),
        "type": "program_output",
        "call_id": call_id,
        "result": "1",
        "status": "completed",
    }
    return [Hosted(code, code), Hosted(output, output)]


def compaction(token: str) -> Hosted:
    item = {"id": new_id("cmp"), "type": "compaction", "encrypted_content": token}
    return Hosted(item, item, (("response.compaction.compacting", {}),))


MAKERS: Mapping[str, Callable[[Use], list[Hosted]]] = {
    "web_search": web_search,
    "web_search_2025_08_26": web_search,
    "web_search_preview": web_search,
    "web_search_preview_2025_03_11": web_search,
    "file_search": file_search,
    "code_interpreter": code_interpreter,
    "image_generation": image_generation,
    "computer": computer,
    "computer_use_preview": computer,
    "local_shell": local_shell,
    "shell": shell,
    "shell-container": lambda use: shell(replace(use, tool={"environment": {"type": "container_auto"}})),
    "apply_patch": apply_patch,
    "tool_search": tool_search,
    "mcp": lambda use: [*mcp_list(use), *mcp_call(use)],
    "mcp-approval": lambda use: [*mcp_list(use), *mcp_request(use)],
    "mcp-failed": lambda use: [*mcp_list(use, fails=True), *mcp_call(use, fails=True)],
    "programmatic_tool_calling": program,
}


def citations(kind: str, text: str) -> tuple[Json, ...]:
    """The annotations an answer has after this tool was used: one at its end, for the tools that find something."""
    if kind.startswith("web_search"):
        return (to_url_citation(_CITED_URL, "Simulated page", text),)
    if kind == "file_search":
        return (to_file_citation("file-simulated", "simulated.pdf", text),)
    return ()


def to_url_citation(url: str, title: str, text: str) -> Json:
    return {"type": "url_citation", "start_index": 0, "end_index": len(text), "title": title, "url": url}


def to_file_citation(file_id: str, filename: str, text: str) -> Json:
    return {"type": "file_citation", "file_id": file_id, "filename": filename, "index": len(text) // 2}
