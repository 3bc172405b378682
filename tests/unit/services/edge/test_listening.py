"""Where an edge may listen that serves Parley's own key to whoever reaches it."""

import socket

import msgspec
import pytest

from libs.runtime.errors import StartError
from libs.schemas.config import Config, Edge, Upstream
from services.edge import listening

OWN = Upstream(name="ours", base_url="http://o", auth="key", key_env="K")
THEIRS = Upstream(name="theirs", base_url="http://t", auth="client")


def config(host: str, *upstreams: Upstream, is_open: bool = False) -> Config:
    return Config(edge=Edge(host=host, port=0, open=is_open), upstream=list(upstreams))


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "0.0.0.0",
        "0",
        "0x0.0",
        pytest.param("::", marks=needs_ipv6),
        pytest.param("0:0::0", marks=needs_ipv6),
        pytest.param("::ffff:0.0.0.0", marks=needs_ipv6),
    ],
)
def test_own_key_is_not_served_beyond_this_machine_unless_told_so(host: str) -> None:
    for upstreams in ([OWN], [THEIRS, OWN]):
        with pytest.raises(StartError, match="edge.open"):
            listening.listen(config(host, *upstreams))
        listening.listen(config(host, *upstreams, is_open=True)).close()
    listening.listen(config(host, THEIRS)).close()


def test_name_of_this_machine_is_judged_by_its_address() -> None:
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError:
        pytest.skip("this machine's name resolves to nothing")
    if address.startswith("127."):
        listening.listen(config(name, OWN)).close()
    else:
        with pytest.raises(StartError, match="edge.open"):
            listening.listen(config(name, OWN))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.8.7.6",
        "localhost",
        pytest.param("::1", marks=needs_ipv6),
        pytest.param("::ffff:127.0.0.1", marks=needs_ipv6),
    ],
)
def test_own_key_is_served_on_this_machine(host: str) -> None:
    with listening.listen(config(host, OWN)) as listener:
        assert listener.getsockname()[1] > 0


def test_refusal_names_the_upstreams_and_no_address_that_cannot_be_had() -> None:
    with pytest.raises(StartError, match="own key of ours"):
        listening.listen(config("0.0.0.0", THEIRS, OWN))
    with pytest.raises(StartError, match="cannot listen on 192.0.2.1"):
        listening.listen(config("192.0.2.1", OWN, is_open=True))


def test_status_tells_of_the_door() -> None:
    assert listening.report(config("127.0.0.1", THEIRS, is_open=True)) == {"mode": "pass-through", "open": True}
    assert listening.report(config("127.0.0.1", OWN)) == {"mode": "open", "open": False}
    told = listening.report(config("0.0.0.0", OWN, is_open=True))
    assert told["mode"] == "open" and "own key of ours" in told["warning"]
    assert msgspec.json.encode(told)
