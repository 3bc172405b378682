"""What the scripts of all Python clients share: the texts that are asked, and telling what came of each scenario."""

import asyncio
import json
import sys
import traceback
from collections.abc import Callable, Coroutine
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

Told = dict[str, Any]

CONTINUITY = "x-parley-continuity"  # the header that tells how an answer went on from the history

TEXTS: dict[str, Any] = json.loads((Path(__file__).parent / "scenarios.json").read_text(encoding="utf-8"))


def run(package: str, *scenarios: Callable[[], Told | Coroutine[Any, Any, Told]]) -> None:
    """Run each scenario, whatever becomes of the others; print one JSON object of what they tell, by name."""
    told: Told = {"version": version(package)}
    # Standard output is for the report alone, whatever a library likes to say.
    with redirect_stdout(sys.stderr), asyncio.Runner() as runner:
        for scenario in scenarios:
            try:
                outcome = scenario()
                told[scenario.__name__] = runner.run(outcome) if isinstance(outcome, Coroutine) else outcome
            except Exception:
                told[scenario.__name__] = {"failed": traceback.format_exc()}
    json.dump(told, sys.stdout)


def error(raised: BaseException) -> Told:
    """What a program sees of an error: its class, and what the class offers."""
    told = {"class": type(raised).__name__, "message": str(raised)}
    shown = {"status": "status_code", "code": "code"}
    return told | {key: getattr(raised, name) for key, name in shown.items() if hasattr(raised, name)}
