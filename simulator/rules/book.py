"""THE LIST: every rule the simulator refuses a request by, and the one way to refuse.

A rule is raised by its name, `raise refuse("orphan_output", ...)`, so what is listed is what is enforced.
"""

from collections.abc import Iterable, Mapping

from simulator.rules.input import INPUT
from simulator.rules.model import MODEL
from simulator.rules.request import REQUEST
from simulator.rules.rule import Rule
from simulator.rules.state import STATE
from simulator.rules.tool import TOOLS
from simulator.wire.errors import ApiError

GROUPS: Mapping[str, Mapping[str, Rule]] = {
    "Requests": REQUEST,
    "Models": MODEL,
    "Input": INPUT,
    "Kept state": STATE,
    "Tools": TOOLS,
}
RULES: Mapping[str, Rule] = {name: rule for group in GROUPS.values() for name, rule in group.items()}


def refuse(name: str, /, **values: object) -> ApiError:
    """The error of one rule, its templates filled in; raise it."""
    rule = RULES[name]
    return ApiError(
        rule.message.format_map(values),
        status=rule.status,
        type=rule.type,
        param=None if rule.param is None else rule.param.format_map(values),
        code=None if rule.code is None else rule.code.format_map(values),
        rule=name,
    )


def invalid_value(param: str, value: object, supported: Iterable[str]) -> ApiError:
    """The refusal of a value outside a closed set."""
    return refuse("invalid_value", param=param, value=value, supported=listed(supported))


def listed(supported: Iterable[str]) -> str:
    """`'a', 'b', and 'c'`: how OpenAI names the values it takes."""
    *first, last = (f"'{name}'" for name in supported)
    return f"{', '.join(first)}{',' if len(first) > 1 else ''} and {last}" if first else last
