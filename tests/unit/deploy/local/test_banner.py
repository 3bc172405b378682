import ast
import json
import shlex
import textwrap
from dataclasses import replace

from deploy.local import banner
from libs.schemas.config import Config, Upstream

FACTS = banner.Facts(
    base_url="http://127.0.0.1:8080/v1",
    upstream="http://127.0.0.1:9/v1",
    simulated=True,
    needs_key=False,
    model="gpt-5-mini",
    seconds=2.0,
    state="var",
)


def section(text: str, title: str) -> str:
    return text.partition(f"{title}:\n")[2].partition("\n\n")[0]


def test_the_curl_call_is_ready_to_paste() -> None:
    arguments = shlex.split(section(banner.text(FACTS), "Call it"))
    assert arguments[:2] == ["curl", "http://127.0.0.1:8080/v1/chat/completions"]
    body = json.loads(arguments[arguments.index("-d") + 1])
    assert body["model"] == "gpt-5-mini" and body["messages"][0]["role"] == "user"


def test_the_python_call_has_five_lines_and_parses() -> None:
    code = textwrap.dedent(section(banner.text(FACTS), "Or with OpenAI's own Python SDK"))
    assert len(code.splitlines()) == 5
    ast.parse(code)


def test_the_simulator_is_named_as_such_with_the_way_out() -> None:
    assert "the simulator" in banner.text(FACTS)
    assert f"OPENAI_API_KEY=sk-... {banner.parley_command()} up\n" in banner.text(FACTS)
    real = banner.text(replace(FACTS, simulated=False, upstream="openai (https://api.openai.com/v1)"))
    assert "simulator" not in real and "openai (https://api.openai.com/v1)" in real


def test_callers_are_told_to_bring_a_key_where_it_is_sent_on() -> None:
    client = Upstream(name="a", base_url="http://a", auth="client")
    assert banner.needs_key(Config(upstream=[client]))
    assert not banner.needs_key(Config())
    assert "Bearer YOUR_KEY" in banner.text(replace(FACTS, needs_key=True))


def test_the_example_model_is_one_that_is_served() -> None:
    assert banner.example_model(Config()) == "gpt-5-mini"
    upstream = Upstream(name="a", base_url="http://a", models=["o*", "gpt-5.5"], aliases={"fast": "gpt-5-nano"})
    assert banner.example_model(Config(upstream=[upstream])) == "fast"
