"""Who may import what. The table is the rule; change the rule by changing the table."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("deploy", "libs", "parley", "services", "simulator", "tests")
# Of the standard library, what neither does I/O, nor reads a clock, nor makes ids, nor logs.
PURE = frozenset({"base64", "collections", "dataclasses", "enum", "fnmatch", "functools", "hashlib", "itertools"})
PURE |= {"math", "re", "string", "types", "typing"}
IMPURE_BUILTINS = frozenset({"__import__", "eval", "exec", "input", "open", "print"})


@dataclass(frozen=True)
class Rule:
    """What the modules of one folder may import besides that folder itself."""

    ours: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ("msgspec",)
    pure: bool = False


RULES = {
    "libs/schemas": Rule(pure=True),
    "libs/translate": Rule(ours=("libs.schemas",), pure=True),
    "libs/runtime": Rule(
        ours=("libs.schemas",),
        drivers=("msgspec", "cryptography", "nats", "opentelemetry", "prometheus_client", "uvicorn", "uvloop"),
    ),
    "services/edge": Rule(
        ours=("libs",), drivers=("msgspec", "aiohttp", "cachetools", "nats", "starlette", "uvicorn", "uvloop", "yarl")
    ),
    "services/converter": Rule(ours=("libs",)),
    "services/state": Rule(ours=("libs",), drivers=("msgspec", "cachetools", "nats", "redis")),
    "services/analytics": Rule(ours=("libs",), drivers=("msgspec", "chdb", "clickhouse_connect", "nats")),
    # The simulator must not share a mistake with what it tests.
    "simulator": Rule(drivers=("msgspec", "starlette", "uvicorn")),
}
# The rooms of a package and the modules beside them, lowest first, with the others that each imports. A row names only
# rows above it, so no circle is possible. docs/architecture.md#packages shows the same.
ROOMS: dict[str, dict[str, tuple[str, ...]]] = {
    "libs/schemas": {
        "plan": (),
        "wire": ("plan",),
        "config": ("plan", "wire"),
        "bus": ("plan", "wire", "config"),
        "subjects": ("bus",),
        "records": ("subjects",),
    },
    # `request` and `answer` never import each other.
    "libs/translate": {
        "errors": (),
        "ids": (),
        "lift": (),
        "sse": (),
        "request": ("errors", "ids", "lift"),
        "answer": ("errors", "ids"),
        "continuity": ("errors", "lift", "request", "answer"),
    },
    "services/edge": {
        "errors": (),
        "tenants": (),
        "pending_claims": (),
        "disk": (),
        "http": (),
        "failures": ("errors", "http"),
        "upstreams": ("errors", "tenants"),
        "edge": ("errors", "tenants", "pending_claims", "disk", "http", "upstreams"),
        "served": ("tenants", "http", "edge"),
        "converter": ("errors", "http", "served"),
        "records": ("disk", "http", "edge", "served"),
        "state": ("errors", "edge", "served"),
        "ownership": ("errors", "http", "edge", "state", "served"),
        "listening": ("ownership",),
        "answering": ("errors", "http", "records", "upstreams", "served", "state", "ownership"),
        "surfaces": (
            *("errors", "http", "failures", "records", "upstreams", "edge", "served", "converter", "state"),
            *("ownership", "listening", "answering"),
        ),
        "app": ("http", "failures", "edge", "surfaces"),
        "serve": ("tenants", "disk", "http", "records", "upstreams", "edge", "listening", "app"),
        "__main__": ("serve",),
    },
    "simulator": {
        "wire": (),
        "rules": ("wire",),
        "http": ("wire", "rules"),
        "checks": ("wire", "rules"),
        "kept": ("wire", "rules"),
        "context": ("wire", "rules", "checks", "kept"),
        "output": ("wire", "context"),
        "scripts": ("wire", "rules", "http", "checks", "context", "output"),
        "document": ("rules", "checks", "scripts"),
        "play": ("wire", "http", "checks", "output", "scripts"),
        "endpoints": ("wire", "rules", "http", "checks", "kept", "context", "output", "scripts", "play"),
        "app": ("wire", "rules", "http", "endpoints"),
        "__main__": ("app",),
    },
}


def violations(source: str, folder: str) -> list[str]:
    """Return what a module of `folder` imports or uses against its rule."""
    rule, itself = RULES[folder], folder.replace("/", ".")
    tree = ast.parse(source)
    wrong = [name for name in _imported(tree) if not _allowed(name, rule, itself)]
    if rule.pure:
        called = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
        wrong += [name.id for name in called if isinstance(name, ast.Name) and name.id in IMPURE_BUILTINS]
    return wrong


def rooms_imported(source: str, package: str, room: str) -> set[str]:
    """Return which other rooms, or modules beside them, of its package a module of `room` imports."""
    itself = package.replace("/", ".")
    names = (name for name in _imported(ast.parse(source)) if f"{name}.".startswith(f"{itself}."))
    return {name.removeprefix(itself).lstrip(".").partition(".")[0] or itself for name in names} - {room}


def rooms_shown(page: str, package: str) -> dict[str, tuple[str, ...]]:
    """Return the rows of a page's table of a package."""
    _, _, section = page.partition(f"### `{package}`\n")
    rows: dict[str, tuple[str, ...]] = {}
    for line in section.partition("\n#")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            rows[cells[0].strip("`")] = tuple(name.strip("` ") for name in cells[2].split(",") if name.strip())
    return rows


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def _allowed(name: str, rule: Rule, itself: str) -> bool:
    package = name.partition(".")[0]
    if package in OURS:
        return any(f"{name}.".startswith(f"{allowed}.") for allowed in (*rule.ours, itself))
    if package in sys.stdlib_module_names:
        return package in PURE or not rule.pure
    return package in rule.drivers


def _modules() -> list[str]:
    found = (path for top in ("libs", "services", "simulator") for path in (ROOT / top).rglob("*.py"))
    return sorted(str(path.relative_to(ROOT)) for path in found)


def _folder(module: str) -> str:
    return next(folder for folder in RULES if module.startswith(folder + "/"))


@pytest.mark.parametrize("module", _modules())
def test_a_module_imports_only_what_its_place_allows(module: str) -> None:
    assert violations((ROOT / module).read_text(), _folder(module)) == []


@pytest.mark.parametrize(("package", "room"), [(package, room) for package, rows in ROOMS.items() for room in rows])
def test_a_room_imports_those_of_its_row_and_no_others(package: str, room: str) -> None:
    paths = [ROOT / package / f"{room}.py", *(ROOT / package / room).rglob("*.py")]
    sources = [path.read_text() for path in paths if path.is_file()]
    assert set().union(*(rooms_imported(source, package, room) for source in sources)) == set(ROOMS[package][room])


@pytest.mark.parametrize("package", ROOMS)
def test_the_table_has_every_room_and_lets_none_import_a_later_one(package: str) -> None:
    rows = ROOMS[package]
    found = (path.relative_to(ROOT / package).parts[0] for path in (ROOT / package).rglob("*.py"))
    assert {name.removesuffix(".py") for name in found} == set(rows)
    order = list(rows)
    assert [room for room, row in rows.items() if not set(row) <= set(order[: order.index(room)])] == []


@pytest.mark.parametrize("package", ROOMS)
def test_the_page_shows_the_table(package: str) -> None:
    shown = rooms_shown((ROOT / "docs/architecture.md").read_text(), package)
    assert shown == ROOMS[package] and list(shown) == list(ROOMS[package])


def test_a_request_and_its_answer_are_translated_apart() -> None:
    rows = ROOMS["libs/translate"]
    assert "answer" not in rows["request"] and "request" not in rows["answer"]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from simulator.scripts.plan import Plan\nimport msgspec", {"scripts"}),
        ("import simulator.scripts.plan", {"scripts"}),
        ("from simulator import app", {"app"}),
        ("import simulator", {"simulator"}),
        ("def f():\n    from simulator.play import events", {"play"}),
        ("from simulator.wire import ids\nfrom simulators.play import x", set()),
    ],
)
def test_the_check_of_rooms_sees_every_form_of_import(source: str, found: set[str]) -> None:
    assert rooms_imported(source, "simulator", "wire") == found


def test_every_folder_of_the_table_has_modules() -> None:
    assert {_folder(module) for module in _modules()} == set(RULES)


@pytest.mark.parametrize(
    ("folder", "source", "found"),
    [
        ("libs/schemas", "import time", ["time"]),
        ("libs/schemas", "from datetime import datetime", ["datetime.datetime"]),
        ("libs/schemas", "import libs.translate.request.translating", ["libs.translate.request.translating"]),
        ("libs/translate", "from libs import runtime", ["libs.runtime"]),
        ("libs/translate", "from libs.runtime import metrics", ["libs.runtime.metrics"]),
        ("libs/translate", "import asyncio, re, os.path", ["asyncio", "os.path"]),
        ("libs/translate", "import uuid\nimport secrets\nimport random", ["uuid", "secrets", "random"]),
        ("libs/translate", "import logging\nimport socket", ["logging", "socket"]),
        ("libs/translate", "def f():\n    import time", ["time"]),
        ("libs/translate", "import importlib", ["importlib"]),
        ("libs/translate", "time = __import__('time')", ["__import__"]),
        ("libs/translate", "def f():\n    print(open('x'))", ["print", "open"]),
        ("libs/translate", "from .sse import FrameParser", [".sse.FrameParser"]),
        ("libs/translate", "import orjson", ["orjson"]),
        ("libs/runtime", "from libs.translate import sse", ["libs.translate.sse"]),
        ("libs/runtime", "import aiohttp", ["aiohttp"]),
        (
            "services/edge",
            "from services.converter.handlers import Converter",
            ["services.converter.handlers.Converter"],
        ),
        ("services/edge", "from services import state", ["services.state"]),
        ("services/edge", "import services.edge_of_reason", ["services.edge_of_reason"]),
        ("services/edge", "import clickhouse_connect", ["clickhouse_connect"]),
        ("services/converter", "import nats", ["nats"]),
        ("services/state", "import tests.support.nats", ["tests.support.nats"]),
        ("simulator", "from libs.schemas.wire import chat", ["libs.schemas.wire.chat"]),
        ("simulator", "import services.edge.app", ["services.edge.app"]),
        ("simulator", "from deploy.local import up", ["deploy.local.up"]),
    ],
)
def test_the_check_catches_a_violation(folder: str, source: str, found: list[str]) -> None:
    assert violations(source, folder) == found


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("libs/schemas", "from typing import Any\nimport msgspec\nfrom libs.schemas.wire import chat"),
        (
            "libs/translate",
            "from collections.abc import Sequence\nfrom libs.schemas.wire.chat import Message\nimport re",
        ),
        ("libs/runtime", "import asyncio, os, time\nimport nats\nfrom nats.js import api"),
        ("services/edge", "import aiohttp\nfrom libs.translate.sse import FrameParser\nfrom services.edge import app"),
    ],
)
def test_the_check_lets_pass_what_is_allowed(folder: str, source: str) -> None:
    assert violations(source, folder) == []
