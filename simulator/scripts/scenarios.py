"""The registry of directives: what each changes in the plan of an answer.

A scenario is one row of `SCENARIOS`. `ends_with_tool_result` stops its effect once a tool result follows the user's
message (else a call asked for in that text would be made again after every result); `is_fault` lets `times` end it.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from simulator.http.steps import Cut, Pause
from simulator.output import hosted, prose
from simulator.rules.book import invalid_value
from simulator.scripts import directives
from simulator.scripts.directives import Directive
from simulator.scripts.distortions import DISAGREEMENTS, DISTORTIONS
from simulator.scripts.plan import Failure, Limit, Plan, PlannedCall, PlannedUse, RawAnswer
from simulator.wire import errors
from simulator.wire.ids import new_id

Apply = Callable[[Plan, str], None]

_HTML = b"<html><head><title>%d Bad Gateway</title></head><body><center>nginx</center></body></html>\n"


@dataclass(frozen=True)
class Scenario:
    """One directive: `value` is what may stand after its colon, `says` what it does."""

    apply: Apply
    says: str
    value: str = ""
    ends_with_tool_result: bool = False
    is_fault: bool = False


def _refuse(plan: Plan, value: str) -> None:
    plan.refuses = True
    plan.text = value or "I can't help with this request."


def _words(plan: Plan, value: str) -> None:
    plan.text = prose.words(directives.whole_number(value))


def _huge(plan: Plan, value: str) -> None:
    plan.text = "x" * directives.whole_number(value)
    plan.whole_deltas = True


def _call(plan: Plan, value: str) -> None:
    name, arguments = directives.name_and_rest(value)
    plan.calls.append(PlannedCall(name, directives.compact_json(arguments)))


def _custom(plan: Plan, value: str) -> None:
    name, text = directives.name_and_rest(value)
    plan.calls.append(PlannedCall(name, text, is_custom=True))


def _use(plan: Plan, value: str) -> None:
    kind, query = directives.name_and_rest(value)
    if kind not in hosted.MAKERS:
        raise invalid_value("[[use]]", kind, hosted.MAKERS)
    plan.uses.append(PlannedUse(kind, query))


def _output(plan: Plan, value: str) -> None:
    try:
        item = json.loads(value)
    except ValueError:
        item = None
    if not isinstance(item, dict):
        raise invalid_value("[[output]]", value, ["a JSON object"])
    plan.outputs.append({"id": new_id("item"), "type": "unknown", **item})


def _cite(plan: Plan, value: str) -> None:
    url, title = directives.name_and_rest(value)
    plan.annotations.append(hosted.to_url_citation(url, title or url, ""))


def _cite_file(plan: Plan, value: str) -> None:
    file_id, filename = directives.name_and_rest(value)
    plan.annotations.append(hosted.to_file_citation(file_id, filename or "simulated.pdf", ""))


def _cite_container(plan: Plan, value: str) -> None:
    container_id, filename = directives.name_and_rest(value)
    where = {"container_id": container_id, "file_id": "cfile_simulated", "filename": filename or "plot.png"}
    plan.annotations.append({"type": "container_file_citation", "start_index": 0, "end_index": 0, **where})


def _cite_path(plan: Plan, value: str) -> None:
    plan.annotations.append({"type": "file_path", "file_id": value or "file-simulated", "index": 0})


def _length(plan: Plan, value: str) -> None:
    plan.incomplete_reason = "max_output_tokens"
    plan.stops_in_reasoning = value == "reasoning"


def _incomplete(plan: Plan, value: str) -> None:
    plan.incomplete_reason = value or "content_filter"


def _to_failure(value: str, is_flat: bool = False, is_told: bool = True) -> Failure:
    code, message = directives.name_and_rest(value)
    return Failure(code or "server_error", message or "The model failed to generate an answer.", is_flat, is_told)


def _fail(plan: Plan, value: str) -> None:
    plan.failure = _to_failure(value)


def _http(plan: Plan, value: str) -> None:
    status, rest = directives.name_and_rest(value)
    code, message = directives.name_and_rest(rest)
    plan.http_error = errors.scripted(directives.whole_number(status) or 500, code or None, message or None)


def _retry_after(plan: Plan, value: str) -> None:
    failure = plan.http_error or errors.scripted(429, None, None)
    failure.headers["retry-after"] = value
    plan.http_error = failure


def _html(plan: Plan, value: str) -> None:
    status = directives.whole_number(value) or 502
    plan.raw_answer = RawAnswer(status, "text/html; charset=utf-8", _HTML % status)


def _detail(plan: Plan, value: str) -> None:
    status, text = directives.name_and_rest(value)
    body = json.dumps({"detail": text or "Not acceptable."}).encode()
    plan.raw_answer = RawAnswer(directives.whole_number(status) or 422, "application/json", body)


def _times(plan: Plan, value: str) -> None:
    times, key = directives.name_and_rest(value)
    plan.limit = Limit(directives.whole_number(times) or 1, key)


def _interrupt(make: Callable[[str], Pause | Cut | Failure]) -> Apply:
    def apply(plan: Plan, value: str) -> None:
        plan.interruptions.append(make(value))

    return apply


def _set(name: str, read: Callable[[str], object] = str) -> Apply:
    def apply(plan: Plan, value: str) -> None:
        setattr(plan, name, read(value))

    return apply


def _append(name: str) -> Apply:
    def apply(plan: Plan, value: str) -> None:
        getattr(plan, name).append(value)

    return apply


def _nothing(plan: Plan, value: str) -> None:
    pass


def _flag(name: str) -> Apply:
    return _set(name, lambda value: True)


def _framing(name: str, value: object) -> Apply:
    def apply(plan: Plan, given: str) -> None:
        setattr(plan.framing, name, value)

    return apply


def _write_size(plan: Plan, value: str) -> None:
    plan.framing.write_size = directives.whole_number(value) or 1


def _distort(name: str) -> Apply:
    def apply(plan: Plan, value: str) -> None:
        plan.distortions.append(name)

    return apply


_ANSWER: Mapping[str, Scenario] = {
    "text": Scenario(_set("text"), "the answer's text", "text"),
    "words": Scenario(_words, "a text of so many words", "count"),
    "huge": Scenario(_huge, "one delta, and so one frame, of so many characters", "count"),
    "refuse": Scenario(_refuse, "a refusal", "text"),
    "commentary": Scenario(_append("commentary"), "a message of phase commentary before the answer", "text"),
    "call": Scenario(
        _call, "a call of a function or custom tool; arguments from its schema unless given", "name arguments", True
    ),
    "custom": Scenario(_custom, "a call of a custom tool, declared or not", "name input", True),
    "use": Scenario(_use, "a use of a hosted tool, declared or not", "tool query", True),
    "output": Scenario(_output, "an output item exactly as given", "JSON", True),
    "reasoning": Scenario(_set("reasoning_tokens", directives.whole_number), "so many reasoning tokens", "count"),
    "summary": Scenario(_append("summaries"), "one part of the reasoning summary", "text"),
    "thought": Scenario(_append("thoughts"), "one raw reasoning text", "text"),
    "cite": Scenario(_cite, "a url_citation over the text", "url title"),
    "cite-file": Scenario(_cite_file, "a file_citation at the text's end", "file_id filename"),
    "cite-container": Scenario(_cite_container, "a container_file_citation over the text", "container_id filename"),
    "cite-path": Scenario(_cite_path, "a file_path at the text's end", "file_id"),
    "audio": Scenario(_flag("speaks"), "audio and transcript events beside the text"),
    "withhold": Scenario(_set("withheld"), "`input_transformations`: the replayed reasoning was removed", "reason"),
}
_ENDING: Mapping[str, Scenario] = {
    "length": Scenario(_length, "cut off by max_output_tokens; `reasoning`: before any text", "reasoning"),
    "content_filter": Scenario(_set("incomplete_reason", lambda value: "content_filter"), "cut off by the filter"),
    "incomplete": Scenario(_incomplete, "cut off for any other reason", "reason"),
    "fail": Scenario(_fail, "`response.failed` at once", "code message"),
}
_TRAVEL: Mapping[str, Scenario] = {
    "pace": Scenario(_set("pace", directives.seconds), "silence between events", "duration"),
    "queued": Scenario(_flag("queued"), "`response.queued` before `response.in_progress`"),
    "polls": Scenario(_set("polls", directives.whole_number), "so many polls of a background response", "count"),
    "keepalive": Scenario(
        _set("keepalive_every", directives.whole_number), "a keepalive event, numbered, after so many deltas", "count"
    ),
    "whole-deltas": Scenario(_flag("whole_deltas"), "one delta for every text and all arguments"),
    "overlap": Scenario(_flag("overlaps"), "the events of the items interleaved"),
}
_FAULTS: Mapping[str, Scenario] = {
    "http": Scenario(_http, "an HTTP error with OpenAI's body", "status code message", is_fault=True),
    "retry-after": Scenario(_retry_after, "the retry-after of the error (429 unless `http`)", "value", is_fault=True),
    "html": Scenario(_html, "an error page", "status", is_fault=True),
    "detail": Scenario(_detail, 'a `{"detail": ...}` body', "status text", is_fault=True),
    "slow-headers": Scenario(
        _set("header_delay", directives.seconds), "silence before the headers", "duration", is_fault=True
    ),
    "reset-at-once": Scenario(_flag("resets_at_once"), "a connection reset instead of an answer", is_fault=True),
    "reset": Scenario(_interrupt(lambda value: Cut(resets=True)), "a connection reset in the middle", is_fault=True),
    "cut": Scenario(_interrupt(lambda value: Cut()), "the connection closed in the middle", is_fault=True),
    "stall": Scenario(
        _interrupt(lambda value: Pause(directives.seconds(value))), "silence in the middle", "duration", is_fault=True
    ),
    "error-midstream": Scenario(
        _interrupt(_to_failure), "a nested `error` event, then `response.failed`", "code message", is_fault=True
    ),
    "error-flat": Scenario(
        _interrupt(lambda value: _to_failure(value, is_flat=True)),
        "a flat `error` event, then `response.failed`",
        "code message",
        is_fault=True,
    ),
    "fail-midstream": Scenario(
        _interrupt(lambda value: _to_failure(value, is_told=False)),
        "`response.failed` in the middle, without an `error` event",
        "code message",
        is_fault=True,
    ),
    "times": Scenario(_times, "all faults for the first so many requests with this key only", "count key"),
}
_FRAMES: Mapping[str, Scenario] = {
    "crlf": Scenario(_framing("newline", b"\r\n"), "lines end in CR LF", is_fault=True),
    "cr": Scenario(_framing("newline", b"\r"), "lines end in CR", is_fault=True),
    "no-event-lines": Scenario(_framing("names_events", False), "frames without `event:`", is_fault=True),
    "duplicate-deltas": Scenario(_framing("repeats_deltas", True), "every delta twice", is_fault=True),
    "pings": Scenario(_framing("pings", True), "a comment before every frame", is_fault=True),
    "malformed": Scenario(_framing("malformed", True), "an event whose JSON is broken off", is_fault=True),
    "done": Scenario(_framing("ends_with_done", True), "`[DONE]` at the end", is_fault=True),
    "bytes": Scenario(_write_size, "writes of so many bytes, 1 unless given", "count", is_fault=True),
    "split-characters": Scenario(
        _framing("splits_characters", True), "a write ends inside every longer character", is_fault=True
    ),
}
# Heeded before the answer is decided (script.py).
IGNORES_PARENT = "ignores-parent"
STORES_NOTHING = "stores-nothing"
_FORGETFUL: Mapping[str, Scenario] = {
    IGNORES_PARENT: Scenario(
        _nothing, "`previous_response_id` is taken and not heeded: the answer is to the input alone, and names no other"
    ),
    STORES_NOTHING: Scenario(_nothing, "the answer is not stored, and says `store: false`"),
}
_DISTORTED: Mapping[str, Scenario] = {
    name: Scenario(_distort(name), distortion.says, is_fault=True) for name, distortion in DISTORTIONS.items()
}
_DISAGREEING: Mapping[str, Scenario] = {
    name: Scenario(_distort(name), distortion.says, is_fault=True) for name, distortion in DISAGREEMENTS.items()
}

GROUPS: Mapping[str, Mapping[str, Scenario]] = {
    "What is answered": _ANSWER,
    "How it ends": _ENDING,
    "How it travels": _TRAVEL,
    "What goes wrong": _FAULTS,
    "Frames of other servers": _FRAMES,
    "Servers that keep nothing": _FORGETFUL,
    "Events that break the rules": _DISTORTED,
    "Events that disagree": _DISAGREEING,
}
SCENARIOS: Mapping[str, Scenario] = {name: row for group in GROUPS.values() for name, row in group.items()}


def to_plan(from_text: Iterable[Directive], from_header: Iterable[Directive], answers_user: bool) -> Plan:
    """Apply every directive in order, the header's last. An unknown one is a 400: a test cannot misspell it unseen."""
    plan = Plan()
    for directive in _in_force(from_text, from_header, answers_user):
        _scenario(directive).apply(plan, directive.value)
    return plan


def without_faults(from_text: Iterable[Directive], from_header: Iterable[Directive], answers_user: bool) -> Plan:
    """The same plan with every fault left out."""
    kept = [d for d in _in_force(from_text, from_header, answers_user) if not _scenario(d).is_fault]
    return to_plan([], kept, answers_user)


def _in_force(
    from_text: Iterable[Directive], from_header: Iterable[Directive], answers_user: bool
) -> Iterable[Directive]:
    yield from (d for d in from_text if answers_user or not _scenario(d).ends_with_tool_result)
    yield from from_header


def _scenario(directive: Directive) -> Scenario:
    scenario = SCENARIOS.get(directive.name)
    if scenario is None:
        raise invalid_value(f"[[{directive.name}]]", directive.name, SCENARIOS)
    return scenario
