"""The tables of docs/simulator.md, made from the code's own: `python -m simulator.document` rewrites them.

A table stands between `<!-- name -->` and `<!-- /name -->`; what is around it is written by hand.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from simulator.checks import models
from simulator.rules import book
from simulator.scripts import scenarios
from simulator.scripts.scenario_models import SCENARIO_MODELS

Row = TypeVar("Row")

PATH = Path(__file__).parents[1] / "docs" / "simulator.md"


def rewritten(text: str) -> str:
    """The document with each table as the code has it now. Raises `ValueError` for a table without its place."""
    for name, render in _TABLES.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if pattern.search(text) is None:
            raise ValueError(f"the document has no place for the table {name!r}")
        # A function, as a table may hold backslashes.
        text = pattern.sub(functools.partial(_between, table=render()), text)
    return text


def _between(match: re.Match[str], table: str) -> str:
    return f"{match[1]}{table}\n{match[2]}"


def _rules() -> str:
    return _groups(
        book.GROUPS,
        ("rule", "refuses", "status", "code", "param", "source"),
        lambda name, rule: (
            f"`{name}`",
            rule.says,
            str(rule.status),
            _code(rule.code),
            _code(rule.param),
            rule.source,
        ),
    )


def _directives() -> str:
    return _groups(
        scenarios.GROUPS,
        ("directive", "what it does"),
        lambda name, row: (f"`[[{name}{': ' + row.value if row.value else ''}]]`", row.says),
    )


def _scenarios() -> str:
    return _table(("model", "its directives"), ((f"`{name}`", f"`{text}`") for name, text in SCENARIO_MODELS.items()))


def _models() -> str:
    rows = (
        (
            f"`{pattern}`".replace("|", "\\|"),
            ", ".join(model.efforts) or "none",
            ", ".join(sorted(model.endpoints)),
            "yes" if model.schemas else "no",
            f"{model.context_window:,}",
            f"{model.input_price} / {model.cached_price} / {model.output_price}",
        )
        for pattern, model in models.FAMILIES.items()
    )
    return _table(
        ("names", "efforts", "endpoints", "schemas", "context", "$ a million tokens: in / cached / out"), rows
    )


_TABLES: Mapping[str, Callable[[], str]] = {
    "directives": _directives,
    "scenarios": _scenarios,
    "models": _models,
    "rules": _rules,
}


def _groups(
    groups: Mapping[str, Mapping[str, Row]], head: tuple[str, ...], cells: Callable[[str, Row], tuple[str, ...]]
) -> str:
    tables = (
        f"### {title}\n\n{_table(head, (cells(name, row) for name, row in rows.items()))}"
        for title, rows in groups.items()
    )
    return "\n\n".join(tables)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _code(text: str | None) -> str:
    return "" if text is None else f"`{text}`"


if __name__ == "__main__":
    PATH.write_text(rewritten(PATH.read_text()))
