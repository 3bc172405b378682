"""CONTRIBUTING.md leads to what is there: a question to a function, a target to the Makefile, a path to a file."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
QUESTIONS = 10  # at least


class Answer(NamedTuple):
    question: str
    path: str
    function: str


def answers() -> list[Answer]:
    _, _, table = PAGE.partition("## Where is it?")
    return [Answer(*row) for row in re.findall(r"^\| ([^|]+\?) \| `([^`]+)` \| `([^`]+)` \|$", table, re.MULTILINE)]


def defined(path: Path) -> set[str]:
    """Return the functions of a module, and the methods of its classes as `Class.method`."""
    found = set[str]()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            inner = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}.{each.name}" for each in inner}
    return found


def test_every_row_is_a_question_with_its_answer() -> None:
    _, _, table = PAGE.partition("## Where is it?")
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(answers()) >= QUESTIONS
    assert len({answer.question for answer in answers()}) == len(rows)


@pytest.mark.parametrize("answer", answers(), ids=lambda answer: answer.question)
def test_a_question_leads_to_a_function(answer: Answer) -> None:
    assert (ROOT / answer.path).is_file(), answer.path
    assert answer.function in defined(ROOT / answer.path)


def test_every_target_that_is_named_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", " ".join(re.findall(r"`[^`]*`|^make .*$", PAGE, re.MULTILINE))))
    assert "fmt" in named
    assert named - targets == set()


def test_every_path_that_is_named_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)", PAGE)
    named = re.findall(r"`((?:libs|services|tests|docs|simulator)/[\w/.]+)`", PAGE)
    assert [path for path in [*links, *named] if not (ROOT / path).exists()] == []


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)[)#]", (ROOT / "README.md").read_text())
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).exists()] == []
