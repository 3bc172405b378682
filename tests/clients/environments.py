"""An environment for each client, from its lock alone: `python -m tests.clients.environments install | lock`.

No lock names a host: packages come from whatever index the machine uses.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.clients.clients import CLIENTS, HERE, ROOT, Client

ENVIRONMENTS = ROOT / "var" / "clients"
SHARED = HERE / "shared"
_STAMP = "installed"
_UV = str(Path(sys.executable).parent / "uv")
_NPM_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def place(client: Client) -> Path:
    """Where the environment of a client is."""
    return ENVIRONMENTS / client.directory


def lock_of(client: Client) -> Path | None:
    """What its environment is made from; None for one that runs in the project's own."""
    lock = client.home / ("package-lock.json" if client.language == "Node" else "requirements.txt")
    return lock if lock.exists() else None


def why_not(client: Client) -> str:
    """Return why the client cannot run, "" when it can."""
    lock, stamp = lock_of(client), place(client) / _STAMP
    if lock is None:
        return ""
    if not stamp.exists():
        return f"{client.id} is not installed: make clients"
    return "" if stamp.read_text() == _digest(lock) else f"{client.id} is older than its lock: make clients"


def command(client: Client) -> list[str]:
    """Return the command that runs its script."""
    if client.language == "Node":
        # Node looks for packages beside the script, wherever it is started.
        for file in (client.home / "run.mjs", *SHARED.glob("*.mjs"), *SHARED.glob("*.json")):
            shutil.copy(file, place(client))
        return ["node", str(place(client) / "run.mjs"), *client.arguments]
    python = sys.executable if lock_of(client) is None else str(place(client) / "bin" / "python")
    return [python, str(client.home / "run.py"), *client.arguments]


def install() -> None:
    """Make each environment that is not there, or older than its lock."""
    for client in {client.directory: client for client in CLIENTS}.values():
        lock = lock_of(client)
        if lock is None or not why_not(client):
            continue
        print(f"Installing {client.directory} ... ", end="", flush=True)
        started = time.monotonic()
        if client.language == "Node" and shutil.which("npm") is None:
            print("left out, for there is no npm")
            continue
        shutil.rmtree(place(client), ignore_errors=True)
        (_install_node if client.language == "Node" else _install_python)(client, lock)
        (place(client) / _STAMP).write_text(_digest(lock))
        print(f"{time.monotonic() - started:.0f} s")


def _install_python(client: Client, lock: Path) -> None:
    _run(_UV, "venv", "--quiet", "--python", sys.executable, str(place(client)))
    python = str(place(client) / "bin" / "python")
    _run(_UV, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(lock))


def _install_node(client: Client, lock: Path) -> None:
    place(client).mkdir(parents=True)
    for file in (lock, client.home / "package.json"):
        shutil.copy(file, place(client))
    _run("npm", "ci", *_NPM_OPTIONS, cwd=place(client))


def lock() -> None:
    """Write every lock anew from the pins."""
    for wanted in sorted(HERE.glob("*/requirements.in")):
        options = ["--universal", "--python-version", "3.11", "--generate-hashes"]
        told = ["--custom-compile-command", "make clients-lock"]
        output = wanted.with_suffix(".txt").relative_to(ROOT)
        _run(_UV, "pip", "compile", "--quiet", *options, *told, str(wanted.relative_to(ROOT)), "-o", str(output))
    for wanted in sorted(HERE.glob("*/package.json")):
        locking = ("--package-lock-only", "--omit-lockfile-registry-resolved")
        _run("npm", "install", *locking, *_NPM_OPTIONS, cwd=wanted.parent)
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
