"""A run of pytest with `--allowed-skips`, in a folder of its own, and the table that CI uses."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = '[always]\n"no server" = 2\n[machine]\n"no disk" = 1\n'


def run(folder: Path, tests: str, *options: str, table: str = TABLE) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "conftest.py").write_text("from tests.conftest import *\n")
    (folder / "test_some.py").write_text(f"import pytest\n{tests}\ndef test_passes(): pass\n")
    (folder / "skips.toml").write_text(table)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--allowed-skips", "skips.toml", *options]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def skipping(*reasons: str) -> str:
    """Return the source of a test for each of the reasons."""
    return "\n".join(f"def test_{number}(): pytest.skip({reason!r})" for number, reason in enumerate(reasons))


def test_as_many_as_allowed_pass_and_are_printed_by_reason(tmp_path: Path) -> None:
    done = run(tmp_path, skipping("no server", "no disk", "no server"))
    assert done.returncode == 0
    assert "   1 of   1: no disk\n   2 of   2: no server\n" in done.stdout
    assert "Lower" not in done.stdout and "more than" not in done.stdout


def test_one_more_of_a_reason_fails(tmp_path: Path) -> None:
    done = run(tmp_path, skipping("no server", "no server", "no server"))
    assert done.returncode == 1
    assert "   3 of   2: no server\n" in done.stdout
    assert "\n1 more than skips.toml allows: no server\n" in done.stdout


@pytest.mark.parametrize(
    "tests",
    [
        skipping("no network"),
        '@pytest.mark.skipif(True, reason="no network")\ndef test_it(): pass',
        '@pytest.fixture\ndef network(): pytest.skip("no network")\ndef test_it(network): pass',
        'pytest.skip("no network", allow_module_level=True)',
    ],
    ids=["test", "mark", "fixture", "module"],
)
def test_a_new_reason_fails_wherever_it_is_given(tmp_path: Path, tests: str) -> None:
    done = run(tmp_path, tests)
    assert done.returncode == 1
    assert "\n1 more than skips.toml allows: no network\n" in done.stdout


def test_fewer_pass_and_the_number_is_to_be_lowered_where_it_does_not_depend_on_the_machine(tmp_path: Path) -> None:
    done = run(tmp_path, skipping("no server"))
    assert done.returncode == 0
    assert "   0 of   1: no disk\n" in done.stdout
    assert "Lower the number in skips.toml to 1: no server\n" in done.stdout
    assert done.stdout.count("Lower") == 1


def test_what_is_expected_to_fail_is_not_skipped(tmp_path: Path) -> None:
    done = run(tmp_path, '@pytest.mark.xfail(reason="known")\ndef test_it(): assert False')
    assert done.returncode == 0 and "known" not in done.stdout


def test_a_run_that_could_not_start_keeps_its_own_status(tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text("import nowhere\n")
    done = run(tmp_path, 'pytest.skip("no network", allow_module_level=True)')
    assert done.returncode == 2
    assert "\n1 more than skips.toml allows: no network\n" in done.stdout


def test_every_reason_of_the_table_is_one_that_a_test_gives() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    sections = tomllib.loads((ROOT / "tests" / "skips.toml").read_text(encoding="utf-8"))
    reasons = [reason for section in sections.values() for reason in section]
    assert reasons and [reason for reason in reasons if f'"{reason}"' not in sources] == []
