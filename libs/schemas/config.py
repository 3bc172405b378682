"""The configuration: `parley.toml` and the environment variables that override it.

Every setting is a field here with its unit in its name; the configuration table of the reference is
tested against these Structs.
"""

from typing import Any, Literal

import msgspec

from libs.schemas.plan import ReasoningField
from libs.schemas.wire.fields import Policy
from libs.schemas.wire.tool_types import HOSTED

Bridge = Literal["translate", "bypass"]
# What a request may ask for, and what an upstream's configuration says: `auto` replays, and chains where the client
# names the conversation.
ContinuityWish = Literal["replay", "chain", "off"]
ContinuityPolicy = Literal["auto", "replay", "chain", "off"]
JsonObject = Literal["auto", "schema", "keep"]


class ModelRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule for the models that a glob matches; the first that matches decides.

    What a rule leaves out is as the upstream, or the model, has it.
    """

    match: str
    bridge: Bridge | None = None
    json_object: JsonObject | None = None
    tools: list[dict[str, Any]] | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an upstream can do, and how requests are translated for it (docs/mapping.md#what-upstreams-differ-in).

    `policies` say what becomes of fields without a counterpart; `tools` are added to every request in the
    upstream's own form, and `hosted_tools` are globs of the types that clients may bring.
    """

    api: Literal["responses", "chat", "both"] = "both"
    policies: dict[str, Policy] = {}
    strict: bool = False
    instructions: Literal["hoist", "keep"] = "hoist"
    system_role: Literal["keep", "system", "developer"] = "keep"
    name_mode: Literal["drop", "prefix"] = "drop"
    json_object: JsonObject = "auto"
    tools: list[dict[str, Any]] = []
    hosted_tools: list[str] = msgspec.field(default_factory=lambda: list(HOSTED))
    custom_tools: bool = True
    tool_output_list: bool = True
    force_search: bool = False
    encrypted_reasoning: bool = True
    open_reasoning: bool = False
    reasoning_summary: Literal["none", "auto", "concise", "detailed"] = "none"
    reasoning_field: ReasoningField = "reasoning_content"
    min_output_tokens: int = 16
    max_call_id_characters: int = 64
    max_choices: int = 8


class Upstream(Profile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One API that Parley calls. `models` are globs, `aliases` map the client's names to the upstream's.

    `shared_ids` are globs of the files, vector stores, containers, prompts and skills that any caller may use
    with Parley's own key; others belong to the caller that made them.
    """

    name: str
    base_url: str
    auth: Literal["key", "client"] = "key"
    key_env: str = ""
    key_file: str = ""
    models: list[str] = msgspec.field(default_factory=lambda: ["*"])
    aliases: dict[str, str] = {}
    model_rules: list[ModelRule] = []
    continuity: ContinuityPolicy = "auto"
    shared_ids: list[str] = msgspec.field(default_factory=lambda: ["*"])


class Edge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP side. `open` lets anyone beyond this machine use the keys of the upstreams with `auth = "key"`."""

    host: str = "127.0.0.1"
    port: int = 8080
    open: bool = False
    max_body_bytes: int = 64 * 1024 * 1024
    connect_timeout_seconds: float = 10.0
    first_byte_timeout_seconds: float = 600.0
    body_idle_timeout_seconds: float = 30.0
    idle_timeout_seconds: float = 300.0
    write_timeout_seconds: float = 60.0
    keepalive_seconds: float = 15.0
    grace_seconds: float = 30.0
    commit_timeout_seconds: float = 0.25
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
    """The state service.

    `max_items_bytes` bounds the original items of one turn, and `max_tenant_turns` what one tenant may hold.
    `cache_bytes` are kept in memory, sealed, by each replica.
    """

    store: Literal["jetstream", "redis", "memory"] = "jetstream"
    redis_url: str = "redis://127.0.0.1:6379/0"
    max_items_bytes: int = 256 * 1024
    max_tenant_turns: int = 1_000_000
    cache_bytes: int = 64 * 1024 * 1024


class Analytics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The consumer; with no `clickhouse_url` it runs ClickHouse in its own process, on disk.

    The URL may carry a user and a password. An instance whose lease has not moved for `lease_seconds`
    is taken over by one that stands by. A query ends after `query_seconds`.
    """

    grace_seconds: float = 10.0
    clickhouse_url: str = ""
    clickhouse_database: str = "parley"
    chdb_path: str = "var/clickhouse"
    batch_rows: int = 5000
    batch_seconds: float = 1.0
    lease_seconds: float = 10.0
    query_seconds: float = 10.0


class Secret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The deployment's secret, which the edge and the state service must share; `PARLEY_SECRET` gives it directly."""

    file: str = "var/secret"


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long what is kept of conversations counts: the edge plans with it, and the state service keeps to it.

    `link_ttl_seconds` is how long a turn stored upstream may be continued, `items_ttl_seconds` how long
    original output items can be replayed.
    """

    link_ttl_seconds: int = 29 * 86400
    items_ttl_seconds: int = 86400


class Health(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a worker serves /healthz, /readyz and /metrics; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: int = 0


class Conversation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a client names a conversation; the first of `name_headers` that a request carries counts.

    `hint_headers` name a session: they group diagnostics and decide nothing. `replay_bytes` bounds the
    original items that go up with one request.
    """

    name_headers: list[str] = msgspec.field(default_factory=lambda: ["x-parley-conversation"])
    hint_headers: list[str] = msgspec.field(default_factory=lambda: ["x-session-id", "x-session-affinity"])
    replay_bytes: int = 512 * 1024


class Tenant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys that belong together, by the tenant digests that the records show; the first digest names them all.

    With `retain = "none"` nothing of their conversations is kept.
    """

    digests: list[str]
    retain: Literal["all", "none"] = "all"


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of `parley.toml`."""

    edge: Edge = Edge()
    nats: Nats = Nats()
    converter: Worker = Worker()
    state: State = State()
    analytics: Analytics = Analytics()
    secret: Secret = Secret()
    retention: Retention = Retention()
    health: Health = Health()
    conversation: Conversation = Conversation()
    tenant: list[Tenant] = []
    upstream: list[Upstream] = []
