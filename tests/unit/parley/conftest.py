"""Commands run in the process of the tests: what they set for good is set back."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    logger = logging.getLogger("parley")
    level = logger.level
    yield
    logger.setLevel(level)
