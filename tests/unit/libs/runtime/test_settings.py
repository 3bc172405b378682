"""`parley.toml` and the environment become one configuration, or one line that names what is wrong."""

from pathlib import Path

import pytest

from libs.runtime import settings
from libs.runtime.errors import StartError
from libs.schemas.config import Config, Upstream

ONE = '[[upstream]]\nname = "a"\nbase_url = "https://a.example/v1"\nauth = "client"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "parley.toml"


def load(file: Path, text: str, **environ: str) -> Config:
    file.write_text(text)
    return settings.load({"PARLEY_CONFIG": str(file), **environ})


def test_load_without_a_file_gives_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.load({}) == Config()


def test_load_reads_sections_and_upstreams(file: Path) -> None:
    config = load(file, ONE + 'models = ["gpt-*"]\n[edge]\nport = 9000\n')
    assert config.edge.port == 9000
    assert config.upstream == [Upstream(name="a", base_url="https://a.example/v1", auth="client", models=["gpt-*"])]


def test_load_reads_what_an_upstream_can_do(file: Path) -> None:
    text = 'policies = { seed = "forward", stop = "forward", top_k = "forward" }\ntools = [{ type = "web_search" }]\n'
    [upstream] = load(file, ONE + text).upstream
    assert upstream.policies == {"seed": "forward", "stop": "forward", "top_k": "forward"}
    assert upstream.tools == [{"type": "web_search"}]


def test_environment_overrides_single_values(file: Path) -> None:
    config = load(
        file,
        "[edge]\nport = 9000\ngrace_seconds = 5.0\n",
        PARLEY_PORT="9001",
        PARLEY_RETENTION_LINK_TTL_SECONDS="60",
        PARLEY_STATE_CONCURRENCY="3",
        PARLEY_CONVERSATION_NAME_HEADERS="x-one, x-two",
    )
    assert (config.edge.port, config.edge.grace_seconds) == (9001, 5.0)
    assert (config.retention.link_ttl_seconds, config.state.concurrency) == (60, 3)
    assert config.conversation.name_headers == ["x-one", "x-two"]


def test_openai_variables_name_an_upstream(file: Path) -> None:
    [with_key] = load(file, "", OPENAI_API_KEY="sk").upstream
    assert (with_key.base_url, with_key.auth, with_key.key_env) == (settings.DEFAULT_BASE_URL, "key", "OPENAI_API_KEY")
    [with_url] = load(file, "", OPENAI_BASE_URL="http://b/v1").upstream
    assert (with_url.base_url, with_url.auth) == ("http://b/v1", "client")


def test_upstreams_of_the_file_win_over_openai_variables(file: Path) -> None:
    assert [upstream.name for upstream in load(file, ONE, OPENAI_API_KEY="sk").upstream] == ["a"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[edge]\nport = 'x'\n", "edge.port"),
        ("[edge]\nprot = 1\n", "edge: .*prot"),
        ("[egde]\n", "egde"),
        (ONE + ONE, r"upstream\[1\].name"),
        (ONE.replace('"a"', '"a b"'), r"upstream\[0\].name"),
        (ONE.replace("https:", "ftp:"), r"upstream\[0\].base_url"),
        (ONE.replace('"client"', '"key"'), r"upstream\[0\].*key_env"),
        (ONE.replace('"client"', '"none"'), r"upstream\[0\].auth"),
        (ONE + 'model_rules = [{match = "x", bridge = "sometimes"}]\n', r"model_rules\[0\].bridge"),
        (ONE + 'policies = { seed = "maybe" }\n', r"upstream\[0\].policies"),
        (ONE + 'policies = { temperature = "drop" }\n', r"upstream\[0\].policies: 'temperature'"),
        (ONE + 'policies = { input_audio = "drop" }\n', r"upstream\[0\].policies: 'input_audio'"),
        (ONE + 'policies = { conversation = "drop" }\n', r"upstream\[0\].policies: 'conversation'"),
        (ONE + 'json_object = "no"\n', r"upstream\[0\].json_object"),
        ("edge = 3\n", "edge"),
        ("= 3\n", "not valid TOML"),
    ],
)
def test_invalid_file_is_refused_in_one_line_that_names_the_key(file: Path, text: str, key: str) -> None:
    with pytest.raises(StartError, match=key) as caught:
        load(file, text)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_invalid_variable_is_refused_by_its_name(file: Path) -> None:
    with pytest.raises(StartError, match="^PARLEY_PORT: "):
        load(file, "", PARLEY_PORT="tcp://10.0.0.1:80")


def test_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no such file"):
        settings.load({"PARLEY_CONFIG": str(tmp_path / "none.toml")})


def test_upstream_key_comes_from_variable_or_file(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("sk-file\n")
    by_file = Upstream(name="f", base_url="https://f", key_file=str(key_file))
    by_variable = Upstream(name="v", base_url="https://v", key_env="V_KEY")
    by_client = Upstream(name="c", base_url="https://c", auth="client")
    assert settings.upstream_key(by_file, {}) == "sk-file"
    assert settings.upstream_key(by_variable, {"V_KEY": "sk-v"}) == "sk-v"
    assert settings.upstream_key(by_client, {}) == ""
    with pytest.raises(StartError, match="V_KEY gives no key"):
        settings.upstream_key(by_variable, {})


def test_variables_are_unique() -> None:
    names = [variable for variable, _, _ in settings.variables()]
    assert len(names) == len(set(names))


def own_key(tmp_path: Path, key: bytes, *, in_file: bool) -> str:
    """Return what becomes of a key that stands in a file, or in a variable."""
    upstream = Upstream(name="a", base_url="https://a.example/v1", key_env="A_KEY")
    if in_file:
        (tmp_path / "key").write_bytes(key)
        upstream = Upstream(name="a", base_url="https://a.example/v1", key_file=str(tmp_path / "key"))
    return settings.upstream_key(upstream, {"A_KEY": key.decode(errors="surrogateescape")})


@pytest.mark.parametrize("in_file", [True, False])
@pytest.mark.parametrize("key", [b"sk-1", b" sk-1\n", b"\tsk-1\r\n", b"\n\nsk-1"])
def test_white_space_around_a_key_is_none_of_it(tmp_path: Path, key: bytes, in_file: bool) -> None:
    assert own_key(tmp_path, key, in_file=in_file) == "sk-1"


def test_mark_that_editors_put_before_a_file_is_none_of_the_key(tmp_path: Path) -> None:
    assert own_key(tmp_path, b"\xef\xbb\xbfsk-1\r\n", in_file=True) == "sk-1"


@pytest.mark.parametrize("in_file", [True, False])
@pytest.mark.parametrize(
    "key",
    [
        b"sk 1",
        b"sk\n1",
        b"sk\t1",
        b"sk\x001",
        b"sk\x7f1",
        b"s\xc3\xa41",
        b"sk\xe2\x80\xa81",
        b"\xe2\x80\x9csk",
        b"\xff1",
    ],
)
def test_key_that_cannot_stand_in_a_header_stops_the_start(tmp_path: Path, key: bytes, in_file: bool) -> None:
    with pytest.raises(StartError) as caught:
        own_key(tmp_path, key, in_file=in_file)
    message = str(caught.value)
    assert (str(tmp_path / "key") if in_file else "A_KEY") in message
    assert "\n" not in message and "sk" not in message.replace("the environment variable", "")


@pytest.mark.parametrize("key", [b"", b" \n"])
def test_key_that_is_empty_stops_the_start(tmp_path: Path, key: bytes) -> None:
    for in_file in (True, False):
        with pytest.raises(StartError, match="gives no key"):
            own_key(tmp_path, key, in_file=in_file)


def test_process_without_the_key_is_told_whose_it_is(file: Path) -> None:
    with_key = load(file, "", OPENAI_API_KEY="sk", OPENAI_BASE_URL="http://b/v1").upstream
    assert load(file, "", PARLEY_UPSTREAM_AUTH="key", OPENAI_BASE_URL="http://b/v1").upstream == with_key
    [default] = load(file, "", PARLEY_UPSTREAM_AUTH="key").upstream
    assert (default.base_url, default.auth) == (settings.DEFAULT_BASE_URL, "key")
    [theirs] = load(file, "", PARLEY_UPSTREAM_AUTH="client", OPENAI_API_KEY="sk").upstream
    assert theirs.auth == "client"
    with pytest.raises(StartError, match="PARLEY_UPSTREAM_AUTH"):
        load(file, "", PARLEY_UPSTREAM_AUTH="keys")
    assert load(file, "", OPENAI_API_KEY=" ").upstream == []


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("PARLEY_NATS_URL", "nats://a:pw/9@host:4222"),
        ("PARLEY_NATS_URL", "nats://a:pw-9@host:port"),
        ("PARLEY_STATE_REDIS_URL", "redis://:pw/9@host"),
        ("PARLEY_ANALYTICS_CLICKHOUSE_URL", "http://a:pw/9@host"),
        ("OPENAI_BASE_URL", "http://a:pw/9@host/v1"),
    ],
)
def test_url_that_cannot_be_taken_apart_is_refused_without_being_told(file: Path, variable: str, url: str) -> None:
    with pytest.raises(StartError, match="not a URL with a host") as caught:
        load(file, "", **{variable: url})
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost", "localhost:4222", "nats://[::1]:4222", "tls://a:b@c", "unix:///x.sock"])
def test_url_with_a_host_is_taken(file: Path, url: str) -> None:
    assert load(file, "", PARLEY_NATS_URL=url).nats.url == url
