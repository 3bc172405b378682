"""The real `parley up` with the simulator as upstream, and the other commands beside it, as a user runs them."""

import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.wait import until

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0  # the first start of an environment compiles every module
STOP_SECONDS = 60.0


class Up:
    """One state directory, in which `parley` commands run as a user would run them.

    `command` starts `parley`, by default that of this working tree.
    """

    def __init__(self, directory: Path, command: Sequence[str] = (sys.executable, "-m", "parley")) -> None:
        self.directory = directory
        self.command = command
        self.state = directory / "var"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PARLEY_", "OPENAI_", "MAKE"))}
        self.environ = {**kept, "PYTHONPATH": str(ROOT), "PARLEY_VAR": str(self.state), "PARLEY_PORT": "0"}
        self._output = directory / "output"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run `parley up` until its banner is there."""
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*self.command, "up"],
                cwd=self.directory,
                env=self.environ,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        until(lambda: "Parley is up" in self.output or not self.runs, seconds=START_SECONDS, what="the banner")
        assert self.runs, self.output

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def output(self) -> str:
        return self._output.read_text()

    def told(self) -> dict[str, Any]:
        running: dict[str, Any] = json.loads((self.state / "cluster.json").read_text())
        return running

    def parley(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *arguments],
            cwd=self.directory,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def banner_part(self, title: str) -> str:
        return textwrap.dedent(self.output.partition(f"{title}:\n")[2].partition("\n\n")[0])

    def call(self) -> int:
        """Make the banner's curl call; return its status, 0 when nobody answers."""
        arguments = shlex.split(self.banner_part("Call it"))
        given = dict(arguments[place + 1].split(": ", 1) for place, word in enumerate(arguments) if word == "-H")
        data = arguments[arguments.index("-d") + 1].encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(arguments[1], data, given), timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    def calls_recorded(self) -> int:
        answer = self.parley("query", "--json", "SELECT count() AS n FROM calls")
        assert answer.returncode == 0, answer.stderr
        return int(json.loads(answer.stdout)["n"])

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_SECONDS)

    def end(self) -> None:
        if self.process is not None and self.runs:
            self.process.kill()
            self.process.wait()
