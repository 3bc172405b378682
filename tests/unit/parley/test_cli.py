import subprocess
import sys

from click.testing import CliRunner

from libs.runtime.version import VERSION
from parley.cli import main

COMMANDS = {"config", "down", "query", "simulate", "status", "up"}


def test_help_names_every_command_with_its_purpose() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    listed = dict(line.split(maxsplit=1) for line in result.output.partition("Commands:")[2].strip().splitlines())
    assert listed.keys() >= COMMANDS
    assert listed["up"] == "Run the whole cluster on this machine."


def test_each_command_explains_itself() -> None:
    for name in COMMANDS:
        result = CliRunner().invoke(main, [name, "--help"])
        assert result.exit_code == 0, result.output


def test_help_loads_no_driver() -> None:
    code = (
        "import sys\nfrom parley.cli import main\nmain(['--help'], standalone_mode=False)\n"
        "sys.exit(', '.join({'nats', 'msgspec', 'opentelemetry', 'aiohttp', 'chdb'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_it_says_its_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"parley {VERSION}\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["no-such"]).exit_code == 2
