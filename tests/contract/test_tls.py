"""The bus over TLS: what a message is stamped with there too."""

import asyncio
import datetime
import ipaddress
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from libs.runtime.bus import Bus
from libs.runtime.call import BusContext
from libs.schemas.bus.state import ResolveReply, ResolveRequest
from libs.schemas.config import Nats
from libs.schemas.subjects import RESOLVE
from tests.support.nats import NatsServer


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate of the loopback that vouches for itself; return the files of it and of its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return files


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    certificate, key = _certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = NatsServer(tmp_path / "nats", more=f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}\n')
    server.start()
    yield server
    server.stop()


async def test_calls_cross_tls_with_the_time_that_is_left(server: NatsServer) -> None:
    url = server.url.replace("nats://", "tls://")
    caller, worker = await Bus.connect(Nats(url=url), "edge"), await Bus.connect(Nats(url=url), "state")
    left: list[float] = []

    async def handler(request: ResolveRequest, context: BusContext) -> ResolveReply:
        assert context.deadline is not None
        left.append(context.deadline - time.monotonic())
        return ResolveReply()

    await worker.serve(RESOLVE, handler, concurrency=8)
    asked = [ResolveRequest(scope="5c", head="a" * size) for size in (1, 100, 300_000, 1)]
    assert await asyncio.gather(*(caller.call(RESOLVE, ask, BusContext()) for ask in asked)) == [ResolveReply()] * 4
    assert all(0.5 < seconds <= RESOLVE.timeout_seconds for seconds in left)
    await caller.drain(1)
    await worker.drain(1)
