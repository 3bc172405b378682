import tomllib
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from libs.schemas.config import Config
from parley.cli import main

TOML = """
[edge]
port = 9090
[[upstream]]
name = "main"
base_url = "https://user:secret@api.example/v1"
key_env = "MAIN_KEY"
models = ["gpt-*"]
aliases = { "gpt 4" = "gpt-5" }
model_rules = [{ match = "gpt-4*", bridge = "bypass" }]
[[upstream]]
name = "own"
base_url = "http://127.0.0.1:1/v1"
auth = "client"
"""


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "PARLEY_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "p.toml").write_text(TOML)


def parley(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environ)


def test_check_summarises_the_upstreams() -> None:
    result = parley("config", "check", "p.toml", MAIN_KEY="sk-1")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "OK: p.toml",
        "  main: https://***@api.example/v1, with the key in MAIN_KEY, for models gpt 4, gpt-*",
        "  own: http://127.0.0.1:1/v1, with the caller's own key, for models *",
    ]


def test_check_says_what_runs_without_any_file() -> None:
    result = parley("config", "check")
    assert result.exit_code == 0
    assert "there is no parley.toml" in result.output and "simulator" in result.output


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("[edge]\nport = 'x'\n", "p.toml: edge.port: Expected `int`, got `str`"),
        ("[edge\n", "p.toml: not valid TOML"),
        (TOML, "upstream main: the environment variable MAIN_KEY gives no key"),
    ],
)
def test_check_fails_with_one_line(tmp_path: Path, toml: str, sentence: str) -> None:
    (tmp_path / "p.toml").write_text(toml)
    result = parley("config", "check", "p.toml")
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith(f"parley: {sentence}")


def test_show_prints_toml_that_means_the_same_with_credentials_masked() -> None:
    result = parley("config", "show", "p.toml", MAIN_KEY="sk-1", PARLEY_KEEPALIVE_SECONDS="3.5")
    assert result.exit_code == 0
    shown = msgspec.convert(tomllib.loads(result.output), Config)
    expected = msgspec.convert(tomllib.loads(TOML.replace("user:secret", "***")), Config)
    edge = msgspec.structs.replace(expected.edge, keepalive_seconds=3.5)
    assert shown == msgspec.structs.replace(expected, edge=edge)
    assert "sk-1" not in result.output and "secret@" not in result.output


def test_show_masks_the_credentials_of_tools(tmp_path: Path) -> None:
    tools = (
        'tools = [{ type = "mcp", authorization = "token-1", headers = { X-Key = "token-2" }, server_label = "x" }]\n'
    )
    (tmp_path / "p.toml").write_text(TOML + tools)
    result = parley("config", "show", "p.toml", MAIN_KEY="sk-1")
    assert result.exit_code == 0
    assert 'type = "mcp"' in result.output and "token-" not in result.output
