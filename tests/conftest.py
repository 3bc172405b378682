"""Options of the test run."""

from pathlib import Path

import pytest

from tests.support.skips import SkipCheck


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write the golden files anew from what the code does now")
    parser.addoption("--allowed-skips", metavar="FILE", help="fail when more tests are skipped than this table allows")


def pytest_configure(config: pytest.Config) -> None:
    table: str | None = config.getoption("--allowed-skips")
    if table is not None:
        config.pluginmanager.register(SkipCheck(Path(table)))
