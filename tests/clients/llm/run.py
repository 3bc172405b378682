"""`llm`: the command as a person types it, and its Python side for the tool loop."""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

# Where llm keeps what it is told; it reads the variable when it is imported.
HOME = Path(os.environ.setdefault("LLM_USER_PATH", mkdtemp()))

import llm  # noqa: E402
from report import TEXTS, Told, run  # noqa: E402
from tools import get_population, get_weather, taken  # noqa: E402

FUNCTIONS = HOME / "functions.py"
FUNCTIONS.write_text("from tools import get_population, get_weather")

MODEL = {
    "model_id": "parley",
    "model_name": TEXTS["model"],
    "api_base": os.environ["OPENAI_BASE_URL"],
    "api_key_name": "openai",
    "supports_tools": True,
    "supports_schema": True,
}
(HOME / "extra-openai-models.yaml").write_text(json.dumps([MODEL]))  # JSON is YAML


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    whole = [str(Path(sys.executable).parent / "llm"), *arguments]
    return subprocess.run(whole, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def asked(name: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return command("prompt", "-m", "parley", "-s", TEXTS["system"], *options, TEXTS[name])


def logged() -> list[int]:
    entry = json.loads(command("logs", "--json", "-n", "1").stdout)[0]
    return [entry["input_tokens"], entry["output_tokens"]]


def answer() -> Told:
    return {"text": asked("answer", "--no-stream").stdout.removesuffix("\n"), "usage": logged()}


def stream() -> Told:
    return {"text": asked("answer").stdout.removesuffix("\n"), "usage": logged()}


def conversation(*, streamed: bool) -> Told:
    talk = llm.get_model("parley").conversation(tools=[get_weather, get_population])
    first = talk.chain(TEXTS["tools"], system=TEXTS["system"], stream=streamed)
    told = [response.text() for response in first.responses()][-1]
    second = talk.chain(TEXTS["tools_again"], system=TEXTS["system"], stream=streamed)
    told_again = [response.text() for response in second.responses()][-1]
    return {"calls": taken(), "texts": [told, told_again]}


def tools() -> Told:
    return conversation(streamed=False)


def stream_tools() -> Told:
    return conversation(streamed=True)


def continued() -> Told:
    """In Python."""
    offers = [get_weather, get_population]
    talk = llm.get_model("parley").conversation()
    texts = []
    for text, system, offered in zip(
        TEXTS["continued"], TEXTS["systems"], (offers, offers[:1], offers[1:]), strict=True
    ):
        chain = talk.chain(text, system=system, tools=offered, stream=False)
        texts.append([response.text() for response in chain.responses()][-1])
    return {"texts": texts}


def stream_continued() -> Told:
    """At the command line, which reads the history from its log."""
    texts = []
    for number, (text, system) in enumerate(zip(TEXTS["continued"], TEXTS["systems"], strict=True)):
        options = ["--continue"] if number else ["-m", "parley"]
        done = command("prompt", *options, "-s", system, "--functions", str(FUNCTIONS), text)
        assert done.returncode == 0, done.stderr
        # It prints the texts of all rounds.
        texts.append(json.loads(command("logs", "--json", "-n", "1").stdout)[0]["response"])
    return {"texts": texts}


def structured() -> Told:
    person: Told = json.loads(asked("structured", "--schema", "name, born int").stdout)
    return person


def failing(name: str, *options: str) -> Told:
    done = asked(name, *options)
    return {"class": f"exit {done.returncode}", "message": done.stderr.strip()}


def bad_request() -> Told:
    return failing("bad_request", "--no-stream")


def rate_limited() -> Told:
    return failing("rate_limited")


def broken_stream() -> Told:
    return failing("broken_stream")


run(
    "llm",
    answer,
    stream,
    tools,
    stream_tools,
    continued,
    stream_continued,
    structured,
    bad_request,
    rate_limited,
    broken_stream,
)
