"""The reference names every path, header, field, code, setting, column and metric that the code has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client.metrics import MetricWrapperBase

from libs.runtime import metrics, settings
from libs.schemas.config import Config, ModelRule, Tenant, Upstream
from libs.translate.continuity import deciding
from services.analytics.tables import TABLES
from services.edge.app import ROUTES

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "API_REFERENCE.md").read_text()
# Headers that belong to protocols below or beside ours, and need no word in the reference.
PLUMBING = {"content-type", "content-length", "cache-control", "user-agent", "accept", "accept-encoding", "allow"}


def sources() -> Iterator[ast.Module]:
    for folder in ("libs", "services"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield ast.parse(path.read_text())


def strings() -> set[str]:
    return {
        node.value
        for tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def codes() -> set[str]:
    """What the code passes as `code=`, or as the third argument of InvalidRequest."""
    found: set[str] = set()
    for tree in sources():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            values = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            if isinstance(node.func, ast.Name) and node.func.id == "InvalidRequest":
                values += node.args[2:3]
            found |= {str(value.value) for value in values if isinstance(value, ast.Constant) and value.value}
    return found


def named(*names: str) -> list[str]:
    return [name for name in names if f"`{name}`" not in REFERENCE]


def rows_after(mark: str) -> list[list[str]]:
    """Return the cells of the rows of the first table after `mark`."""
    table = re.search(r"\| [^\n]*\n\|---[^\n]*\n((?:\|[^\n]*\n)+)", REFERENCE[REFERENCE.index(mark) :])
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]


def shown(value: object) -> str:
    """The cell of a default, as the reference has it."""
    if value in (msgspec.NODEFAULT, ""):
        return "empty"
    if isinstance(value, list):
        return f"`{','.join(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_reference_has_the_settings_with_their_variables_and_defaults_and_no_others() -> None:
    config = Config()
    assert sorted(row[:3] for row in rows_after("## Settings")) == sorted(
        [f"`{section}.{field}`", f"`{variable}`", shown(getattr(getattr(config, section), field))]
        for variable, section, field in settings.variables()
    )


@pytest.mark.parametrize(("mark", "struct"), [("Each `[[tenant]]`", Tenant), ("Each `[[upstream]]`", Upstream)])
def test_reference_has_the_fields_of_a_list_in_the_configuration_and_no_others(
    mark: str, struct: type[msgspec.Struct]
) -> None:
    fields = [name for row in rows_after(mark) for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(fields) == sorted(struct.__struct_fields__)


def test_reference_names_every_field_of_a_rule_for_models() -> None:
    assert all(field in REFERENCE for field in ModelRule.__struct_fields__)


def test_reference_names_every_other_variable() -> None:
    assert named(*settings.OTHER_VARIABLES) == []


def test_reference_names_every_header_of_our_own() -> None:
    headers = {text for text in strings() if re.fullmatch(r"x-[a-z]+(-[a-z]+)+", text)} - PLUMBING
    assert "x-parley-continuity" in headers
    assert named(*headers) == []


def test_reference_names_every_reason() -> None:
    assert named(*deciding.REASONS) == []


def test_reasons_are_all_listed() -> None:
    constants = {value for name, value in vars(deciding).items() if name.isupper() and isinstance(value, str)}
    assert constants == set(deciding.REASONS)


def test_reference_names_every_error_code() -> None:
    assert {"model_not_found", "upstream_timeout", "invalid_api_key"} <= codes()
    assert named(*codes()) == []


@pytest.mark.parametrize("table", TABLES)
def test_reference_has_the_columns_of_each_table_and_no_others(table: str) -> None:
    columns = [name for row in rows_after(f"the table `{table}`") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(columns) == sorted([*TABLES[table], "ingest_ts"])


def test_reference_has_the_metrics_with_their_labels_and_meanings_and_no_others() -> None:
    declared = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
    assert sorted(rows_after("## Metrics")) == sorted(
        [
            f"`{metric._name}{'_total' if metric._type == 'counter' else ''}`",
            ", ".join(f"`{label}`" for label in metric._labelnames),
            metric._documentation,
        ]
        for metric in declared
    )


def test_reference_has_every_path_with_its_methods_and_no_others() -> None:
    cells = [cells[0] for cells in rows_after("## Paths")]
    exact = {row.path: set(row.methods) for row in ROUTES if row.methods and "{" not in row.path}
    shown = {path: set[str]() for path in exact}
    for method, path in re.findall(r"`(GET|POST|DELETE) (/[a-z0-9/]+)`", " ".join(cells)):
        if path in exact:
            shown[path].add(method)
        else:
            assert any(row.path == path and not row.methods for row in ROUTES), path
    assert shown == exact
    for row in ROUTES:
        beginning = row.path.partition("{")[0]
        assert any(f"{beginning}" in cell for cell in cells), row.path
