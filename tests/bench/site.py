"""What is measured, running: the cluster, its upstream, and nginx beside it where that is installed."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from deploy.local.nats_server import free_port
from tests.bench.jobs import Job
from tests.bench.processes import Pids
from tests.bench.requests import Surface
from tests.support.cluster import Cluster, running_cluster
from tests.support.nats import wait_listening

_ROOT = Path(__file__).resolve().parents[2]
_JOB_SECONDS = 300.0
_NGINX = """
daemon off; master_process off; pid {directory}/nginx.pid; error_log {directory}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; client_max_body_size 0; keepalive_requests 1000000;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    upstream bench {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            proxy_pass http://bench; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_buffering off; proxy_request_buffering off;
        }}
    }}
}}
"""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Ports and processes; the port of `nginx` is 0 where it is not installed."""

    cluster: Cluster
    edge: int
    upstream: int
    nginx: int
    pids: dict[str, int]

    def pids_of(self, *names: str) -> Pids:
        """Return the processes of these names."""
        return {name: self.pids[name] for name in names}


@contextmanager
def running_site(*, wrapped: Mapping[str, Sequence[str]] | None = None) -> Iterator[Site]:
    """Run everything while the block runs; `wrapped` as `running_cluster` takes it."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-bench-")))
        upstream = stack.enter_context(_running_upstream())
        environ = {"OPENAI_BASE_URL": f"http://127.0.0.1:{upstream}/v1", "OPENAI_API_KEY": "sk-upstream"}
        cluster = stack.enter_context(running_cluster(directory, environ=environ, wrapped=wrapped))
        pids = {name: service.process.pid for name, service in cluster.services.items()}
        pids["nats-server"] = cluster.nats.pid
        nginx = 0
        if shutil.which("nginx") is not None:
            nginx, pids["nginx"] = stack.enter_context(_running_nginx(directory, upstream))
        yield Site(cluster=cluster, edge=cluster["edge"].port, upstream=upstream, nginx=nginx, pids=pids)


@contextmanager
def _running_upstream() -> Iterator[int]:
    command = [sys.executable, "-m", "tests.bench.upstream"]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().removeprefix("ready "))
        finally:
            process.kill()


@contextmanager
def _running_nginx(directory: Path, upstream: int) -> Iterator[tuple[int, int]]:
    port = free_port()
    config = directory / "nginx.conf"
    config.write_text(_NGINX.format(directory=directory, upstream=upstream, port=port))
    with subprocess.Popen(["nginx", "-c", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            assert wait_listening(port), (directory / "nginx.log").read_text()
            yield port, process.pid
        finally:
            process.terminate()


def targets(site: Site) -> dict[str, tuple[int, Surface, str]]:
    """Return port, surface and process of each way to the upstream."""
    ways: dict[str, tuple[int, Surface, str]] = {
        "chat": (site.edge, "chat", "edge"),
        "/v1/responses": (site.edge, "responses", "edge"),
    }
    if site.nginx:
        ways["nginx"] = (site.nginx, "responses", "nginx")
    return ways


# -- load -------------------------------------------------------------------------------------------


class Load:
    """A job that runs in a generator of its own."""

    def __init__(self, job: Job) -> None:
        command = [sys.executable, "-m", "tests.bench.generator"]
        self._process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(job))
        self._process.stdin.close()
        self._process.stdin = None

    def result(self, type_: Any) -> Any:
        """Wait for the end of the job, and return what it found."""
        try:
            output, _ = self._process.communicate(timeout=_JOB_SECONDS)
        finally:
            self._process.kill()
        assert self._process.returncode == 0, "the load generator failed"
        return msgspec.json.decode(output, type=type_)


def run(job: Job, type_: Any) -> Any:
    """Run one job to its end."""
    return Load(job).result(type_)
