"""The registry of scenarios: what each directive changes in the plan of an answer.

A scenario is one row of `SCENARIOS`: a function that edits the plan, and whether a tool result after the user's
message ends its effect (else a call asked for in the user's text would be made again after every result).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from deploy.local.simulator import directives, errors, prose
from deploy.local.simulator.directives import Directive
from deploy.local.simulator.stream import CUT, Cut, Pause


@dataclass(frozen=True)
class PlannedCall:
    """A tool call; empty `arguments` are synthesised from the tool's schema."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Failure:
    """What stands in `response.error`."""

    code: str
    message: str


Interruption = Pause | Cut | Failure


@dataclass
class Plan:
    """What directives asked for; everything left at its default is decided from the request."""

    text: str | None = None
    refuses: bool = False
    calls: list[PlannedCall] = field(default_factory=list)
    incomplete_reason: str | None = None
    failure: Failure | None = None
    http_error: errors.ApiError | None = None
    interruptions: list[Interruption] = field(default_factory=list)
    pace: float = 0.0
    reasoning_tokens: int | None = None


def _refuse(plan: Plan, value: str) -> None:
    plan.refuses = True
    plan.text = value or "I can't help with this request."


def _text(plan: Plan, value: str) -> None:
    plan.text = value


def _words(plan: Plan, value: str) -> None:
    plan.text = prose.words(directives.whole_number(value))


def _call(plan: Plan, value: str) -> None:
    name, arguments = directives.name_and_rest(value)
    plan.calls.append(PlannedCall(name, directives.compact_json(arguments)))


def _length(plan: Plan, value: str) -> None:
    plan.incomplete_reason = "max_output_tokens"


def _content_filter(plan: Plan, value: str) -> None:
    plan.incomplete_reason = "content_filter"


def _to_failure(value: str) -> Failure:
    code, message = directives.name_and_rest(value)
    return Failure(code or "server_error", message or "The model failed to generate an answer.")


def _fail(plan: Plan, value: str) -> None:
    plan.failure = _to_failure(value)


def _http(plan: Plan, value: str) -> None:
    status, rest = directives.name_and_rest(value)
    code, message = directives.name_and_rest(rest)
    plan.http_error = errors.scripted(directives.whole_number(status) or 500, code or None, message or None)


def _error_midstream(plan: Plan, value: str) -> None:
    plan.interruptions.append(_to_failure(value))


def _cut(plan: Plan, value: str) -> None:
    plan.interruptions.append(CUT)


def _stall(plan: Plan, value: str) -> None:
    plan.interruptions.append(Pause(directives.seconds(value)))


def _pace(plan: Plan, value: str) -> None:
    plan.pace = directives.seconds(value)


def _reasoning(plan: Plan, value: str) -> None:
    plan.reasoning_tokens = directives.whole_number(value)


@dataclass(frozen=True)
class Scenario:
    apply: Callable[[Plan, str], None]
    ends_with_tool_result: bool = False


SCENARIOS: dict[str, Scenario] = {
    "refuse": Scenario(_refuse),
    "text": Scenario(_text),
    "words": Scenario(_words),
    "call": Scenario(_call, ends_with_tool_result=True),
    "length": Scenario(_length),
    "content_filter": Scenario(_content_filter),
    "fail": Scenario(_fail),
    "http": Scenario(_http),
    "error-midstream": Scenario(_error_midstream),
    "cut": Scenario(_cut),
    "stall": Scenario(_stall),
    "pace": Scenario(_pace),
    "reasoning": Scenario(_reasoning),
}


def to_plan(from_text: Iterable[Directive], from_header: Iterable[Directive], answers_user: bool) -> Plan:
    """Apply every directive in order, the header's last. An unknown one is a 400: a test cannot misspell it unseen."""
    plan = Plan()
    for directive in from_text:
        scenario = _scenario(directive)
        if answers_user or not scenario.ends_with_tool_result:
            scenario.apply(plan, directive.value)
    for directive in from_header:
        _scenario(directive).apply(plan, directive.value)
    return plan


def _scenario(directive: Directive) -> Scenario:
    scenario = SCENARIOS.get(directive.name)
    if scenario is None:
        raise errors.invalid_value(f"[[{directive.name}]]", directive.name, SCENARIOS)
    return scenario
