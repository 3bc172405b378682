"""The table of clients in README.md, from results.json: `python -m tests.clients.table` writes and prints it."""

import re
from typing import Any

from tests.clients.clients import ROOT
from tests.clients.recording import load

README = ROOT / "README.md"
_SECTION = re.compile(r"(?<=<!-- clients -->\n).*?(?=<!-- /clients -->)", re.DOTALL)

# Column to its scenarios.
COLUMNS = {
    "answer": ("answer",),
    "streamed": ("stream",),
    "tool loop": ("tools",),
    "streamed tool loop": ("stream_tools",),
    "continues": ("continued", "stream_continued", "asked_by_tool"),
    "typed answer": ("structured", "structured_native", "structured_as_json", "stream_structured", "asked_again"),
    "reasoning": ("reasoning", "stream_reasoning"),
    "errors": ("bad_request", "rate_limited", "broken_stream"),
}


def render(results: list[dict[str, Any]]) -> str:
    """Return the table."""
    heads = ["client", "version", *COLUMNS, "passed"]
    lines = [heads, ["---"] * len(heads), *(_row(result) for result in results)]
    return (
        "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("| --- ", "|---").replace("---|---", "---|---")
    )


def _row(result: dict[str, Any]) -> list[str]:
    scenarios: dict[str, str] = result["scenarios"]
    passed = sum(outcome == "passed" for outcome in scenarios.values())
    cells = [_cell([scenarios[name] for name in names if name in scenarios]) for names in COLUMNS.values()]
    return [_name(result["client"]), result["version"], *cells, f"{passed} of {len(scenarios)}"]


def _name(id: str) -> str:
    packages, _, language = id.rpartition(" ")
    return f"{' + '.join(f'`{package}`' for package in packages.split(' + '))} {language}"


def _cell(outcomes: list[str]) -> str:
    if not outcomes:
        return ""
    return "✓" if set(outcomes) == {"passed"} else "✗"


def in_readme() -> str:
    """Return the table that README.md has."""
    found = _SECTION.search(README.read_text(encoding="utf-8"))
    assert found, "README.md has no place for the table"
    return found[0]


def main() -> None:
    table = render(load())
    text = README.read_text(encoding="utf-8")
    README.write_text(_SECTION.sub(lambda _: table, text), encoding="utf-8")
    print(table, end="")


if __name__ == "__main__":
    main()
