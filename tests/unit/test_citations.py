"""What comments and pages cite is in the repository: each page, each section of it, each link."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("libs", "services", "parley", "deploy", "simulator", "tests", "examples", "docs")
SUFFIXES = {".py", ".md", ".toml", ".sql", ".sh"}
ROWS = ROOT / "tests" / "golden" / "rows"

_HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_PAGE = re.compile(r"(?<![\w/.-])(?P<page>docs/[\w/-]+\.md|[A-Z_]+\.md)(?:#(?P<anchor>[\w-]+))?")
# Further sections of the page that was named before them: `docs/mapping.md#content, #annotations`.
_FURTHER = re.compile(r",\s+(?:(?:#|--) )?#(?P<anchor>[a-z][\w-]*)")
_LINK = re.compile(r"\]\((?P<path>[^()\s#]*)(?:#(?P<anchor>[^()\s]+))?\)")
# Letters of a page that was never here, and names of others.
_ELSEWHERE = re.compile(
    r"(?:[Tt]ranslation|infrastructure)\s+(?:# )?reference|\(design[,;]|\([A-G]\.\d|\breference\s+[A-G][.,;)]"
)


def files() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file() and "node_modules" not in path.parts:
                yield path
    yield from sorted(ROOT.glob("*.md"))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = _FENCE.sub("", page.read_text())
    headings = (found["text"].lower() for found in _HEADING.finditer(text))
    return {re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in headings}


def citations(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield each page that a text cites, with each section of it."""
    for found in _PAGE.finditer(text):
        yield found["page"], found["anchor"]
        end = found.end()
        while found["anchor"] and (further := _FURTHER.match(text, end)):
            yield found["page"], further["anchor"]
            end = further.end()


def lacks(page: Path, anchor: str | None) -> bool:
    if not page.exists():
        return True
    return anchor is not None and page.suffix == ".md" and anchor not in anchors(page)


def test_citations_are_read_with_all_their_sections() -> None:
    text = "(docs/mapping.md#content, #annotations,\n    #usage) and docs/a.md. See API_REFERENCE.md#records, and #9."
    assert list(citations(text)) == [
        ("docs/mapping.md", "content"),
        ("docs/mapping.md", "annotations"),
        ("docs/mapping.md", "usage"),
        ("docs/a.md", None),
        ("API_REFERENCE.md", "records"),
    ]


def test_every_page_and_section_that_is_cited_exists() -> None:
    cited = [
        (path, page, anchor)
        for path in files()
        if path != Path(__file__)
        for page, anchor in citations(path.read_text())
    ]
    assert [one for one in cited if lacks(ROOT / one[1], one[2])] == []


def test_every_link_of_a_page_resolves() -> None:
    pages = [path for path in files() if path.suffix == ".md"]
    links = [
        (page, found["path"], found["anchor"])
        for page in pages
        for found in _LINK.finditer(_CODE.sub("", page.read_text()))
        if "://" not in found["path"]
    ]
    assert [link for link in links if lacks(link[0].parent / link[1] if link[1] else link[0], link[2])] == []


def test_no_page_is_cited_that_is_not_here() -> None:
    found = [
        (path, hit[0]) for path in files() if path != Path(__file__) for hit in _ELSEWHERE.finditer(path.read_text())
    ]
    assert found == []


def test_the_rows_of_the_goldens_are_sections_of_the_mapping() -> None:
    sections = {name for path in ROWS.glob("*.toml") for name in tomllib.loads(path.read_text())}
    assert sections - anchors(ROOT / "docs" / "mapping.md") == {"what upstreams do"}
