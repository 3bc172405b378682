"""The one table of scenarios: each is a function that registers itself under its name."""

from collections.abc import Awaitable, Callable
from random import Random

from tests.faults.counts import Counts
from tests.faults.site import Site
from tests.faults.sizes import Sizes

Scenario = Callable[[Site, Sizes, Random], Awaitable[Counts]]

SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str) -> Callable[[Scenario], Scenario]:
    """Register a function under a name; its docstring says what is broken and what must hold."""

    def register(function: Scenario) -> Scenario:
        SCENARIOS[name] = function
        return function

    return register
