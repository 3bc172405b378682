"""`parley explain` as a person runs it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from parley.commands.explain import command


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "PARLEY_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def test_explain_prints_the_request_and_what_is_dropped(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi", "name": "ann"}]
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"model": "gpt-5", "messages": messages, "seed": 1}))
    result = CliRunner().invoke(command, [str(file)])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["instructions"] == "Be brief."
    assert "dropped: seed, messages[1].name" in result.stderr


def test_explain_reads_standard_input() -> None:
    body = json.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]})
    result = CliRunner().invoke(command, ["-"], input=body)
    assert json.loads(result.stdout)["input"] == [{"type": "message", "role": "user", "content": "Hi"}]


def test_explain_says_why_a_request_is_refused() -> None:
    result = CliRunner().invoke(command, ["-"], input='{"model": "gpt-5", "messages": []}')
    assert result.exit_code == 1
    assert "param messages" in result.stderr


def test_explain_knows_aliases_and_bypassed_models(tmp_path: Path) -> None:
    Path("parley.toml").write_text(
        '[[upstream]]\nname = "a"\nbase_url = "http://a/v1"\nauth = "client"\n'
        'aliases = {fast = "gpt-5-mini"}\nmodel_rules = [{match = "old-*", bridge = "bypass"}]\n'
    )
    messages = [{"role": "user", "content": "Hi"}]
    result = CliRunner().invoke(command, ["-"], input=json.dumps({"model": "fast", "messages": messages}))
    assert json.loads(result.stdout)["model"] == "gpt-5-mini"
    result = CliRunner().invoke(command, ["-"], input=json.dumps({"model": "old-1", "messages": messages}))
    assert "sent as it is" in result.stdout


def test_explain_says_what_only_the_chat_endpoint_can_serve() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    body = json.dumps({"model": "gpt-5", "messages": messages, "modalities": ["text", "audio"]})
    result = CliRunner().invoke(command, ["-"], input=body)
    assert "sent as it is" in result.stdout and "modalities" in result.stdout
