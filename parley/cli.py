"""The `parley` command: a group whose commands are the modules of `parley/commands`.

A module's command is its `command`; the first line of its docstring is what `parley --help` shows. A
module is imported when its command is called, so that help does not wait for drivers to load.
"""

import ast
import importlib
from pathlib import Path

import click

from libs.runtime.version import VERSION

_COMMANDS = Path(__file__).parent / "commands"


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(path.stem for path in _COMMANDS.glob("*.py"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"parley.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(name)) for name in self.list_commands(ctx)])


def _summary(name: str) -> str:
    tree = ast.parse((_COMMANDS / f"{name}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(VERSION, prog_name="parley", message="%(prog)s %(version)s")
def main() -> None:
    """Everything of the Responses API for programs that speak Chat Completions."""
