import pytest

from tests.unit.simulator.caller import Caller


@pytest.fixture
def call() -> Caller:
    """Return a simulator of the test's own."""
    return Caller()
