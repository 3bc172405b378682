"""The configuration: `parley.toml` and the environment variables that override it.

Every setting is a field here with its unit in its name; the configuration table of the reference is
tested against these Structs.
"""

from typing import Literal

import msgspec

Bridge = Literal["translate", "bypass"]
ContinuityPolicy = Literal["replay", "chain", "off"]


class ModelRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule for the models that a glob matches; the first that matches decides."""

    match: str
    bridge: Bridge = "translate"


class Upstream(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One API that Parley calls. `models` are globs, `aliases` map the client's names to the upstream's."""

    name: str
    base_url: str
    api: Literal["responses", "chat", "both"] = "both"
    auth: Literal["key", "client"] = "key"
    key_env: str = ""
    key_file: str = ""
    models: list[str] = msgspec.field(default_factory=lambda: ["*"])
    aliases: dict[str, str] = {}
    model_rules: list[ModelRule] = []
    continuity: ContinuityPolicy = "replay"


class Edge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP side."""

    host: str = "127.0.0.1"
    port: int = 8080
    max_body_bytes: int = 64 * 1024 * 1024
    connect_timeout_seconds: float = 10.0
    first_byte_timeout_seconds: float = 600.0
    body_idle_timeout_seconds: float = 30.0
    idle_timeout_seconds: float = 300.0
    write_timeout_seconds: float = 60.0
    keepalive_seconds: float = 15.0
    grace_seconds: float = 30.0
    commit_timeout_seconds: float = 0.25
    secret_file: str = "var/secret"
    spool_dir: str = "var/spool"
    spool_max_bytes: int = 256 * 1024 * 1024


class Nats(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bus."""

    url: str = "nats://127.0.0.1:4222"
    replicas: int = 1
    connect_timeout_seconds: float = 10.0


class Worker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service behind a queue group; beyond `concurrency` it answers busy."""

    concurrency: int = 64
    grace_seconds: float = 10.0


class State(Worker, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state service."""

    turn_ttl_seconds: int = 29 * 86400


class Analytics(Worker, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The consumer; with no `clickhouse_url` it runs ClickHouse in its own process, on disk.

    The URL may carry a user and a password. An instance whose lease has not moved for `lease_seconds`
    is taken over by one that stands by. A query ends after `query_seconds`.
    """

    clickhouse_url: str = ""
    clickhouse_database: str = "parley"
    chdb_path: str = "var/clickhouse"
    batch_rows: int = 5000
    batch_seconds: float = 1.0
    lease_seconds: float = 10.0
    query_seconds: float = 10.0


class Health(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a worker serves /healthz, /readyz and /metrics; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: int = 0


class Conversation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a client names a conversation; the first of `name_headers` that a request carries counts."""

    name_headers: list[str] = msgspec.field(default_factory=lambda: ["x-parley-conversation"])


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of `parley.toml`."""

    edge: Edge = Edge()
    nats: Nats = Nats()
    converter: Worker = Worker()
    state: State = State()
    analytics: Analytics = Analytics()
    health: Health = Health()
    conversation: Conversation = Conversation()
    upstream: list[Upstream] = []
