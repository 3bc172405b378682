"""Loads the configuration: `parley.toml`, then the environment, into one frozen `Config`.

An environment variable overrides a single value: `PARLEY_<FIELD>` for the edge's own section and
`PARLEY_<SECTION>_<FIELD>` for the others. With no upstream configured, OpenAI's own variables name one.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from libs.runtime.errors import StartError
from libs.schemas import config as schema
from libs.schemas.config import Config, Upstream
from libs.schemas.wire.fields import FIELDS

SECTIONS: dict[str, type[msgspec.Struct]] = {
    "edge": schema.Edge,
    "nats": schema.Nats,
    "converter": schema.Worker,
    "state": schema.State,
    "analytics": schema.Analytics,
    "secret": schema.Secret,
    "retention": schema.Retention,
    "health": schema.Health,
    "conversation": schema.Conversation,
}

_BEARER = re.compile(r"[!-~]+")

DEFAULT_BASE_URL = "https://api.openai.com/v1"
# Whose key OpenAI's upstream gets, "key" or "client", for a process that has not the key itself.
AUTH_VARIABLE = "PARLEY_UPSTREAM_AUTH"
# Variables of the environment that are no setting of a section.
OTHER_VARIABLES = (
    "PARLEY_CONFIG",
    "PARLEY_SECRET",
    "PARLEY_RECORDINGS",
    "PARLEY_SIMULATOR_PORT",
    AUTH_VARIABLE,
    "PARLEY_VAR",
)


def variables() -> Iterator[tuple[str, str, str]]:
    """Yield (variable, section, field) for every setting that the environment can override."""
    for section, struct in SECTIONS.items():
        prefix = "PARLEY_" if section == "edge" else f"PARLEY_{section.upper()}_"
        for field in struct.__struct_fields__:
            yield prefix + field.upper(), section, field


def load(environ: Mapping[str, str]) -> Config:
    """Return the configuration that `environ` and the file it names describe.

    Raises StartError with one line that names the key or variable at fault.
    """
    path = environ.get("PARLEY_CONFIG", "parley.toml")
    tree = _read_toml(Path(path), required="PARLEY_CONFIG" in environ)
    for variable, section, field in variables():
        if variable in environ:
            _override(tree, section, field, environ[variable], variable)
    if not tree.get("upstream"):
        tree["upstream"] = _upstream_from(environ)
    config = _convert(tree, path)
    _check_urls(config, path)
    _check_upstreams(config, path)
    return config


def _read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise StartError(f"{path}: no such file (named by PARLEY_CONFIG)") from None
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartError(f"{path}: not valid TOML: {error}") from None


def _override(tree: dict[str, Any], section: str, field: str, value: str, variable: str) -> None:
    annotation = next(known.type for known in msgspec.structs.fields(SECTIONS[section]) if known.name == field)
    is_list = annotation == list[str]
    wanted: Any = [part.strip() for part in value.split(",") if part.strip()] if is_list else value
    try:
        converted = msgspec.convert(wanted, annotation, strict=False)
    except msgspec.ValidationError as error:
        raise StartError(f"{variable}: {error}") from None
    table = tree.setdefault(section, {})
    if isinstance(table, dict):
        table[field] = converted


def _upstream_from(environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """The upstream that OpenAI's own variables name; without a key the caller's bearer is sent on.

    A process that calls no upstream needs the routes and not the key: what its environment says stands in its place.
    """
    key, url = environ.get("OPENAI_API_KEY", "").strip(), environ.get("OPENAI_BASE_URL")
    auth_given = environ.get(AUTH_VARIABLE)
    if auth_given not in (None, "", "key", "client"):
        raise StartError(f"{AUTH_VARIABLE}: neither 'key' nor 'client'")
    if not key and not url and not auth_given:
        return []
    auth = (
        {"auth": "key", "key_env": "OPENAI_API_KEY"} if (auth_given or (key and "key")) == "key" else {"auth": "client"}
    )
    return [{"name": "openai", "base_url": url or DEFAULT_BASE_URL, **auth}]


def _convert(tree: dict[str, Any], path: str) -> Config:
    try:
        return msgspec.convert(tree, Config)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$")
        key = where.removesuffix("`").lstrip(".")
        raise StartError(f"{path}: {key}: {text}" if key else f"{path}: {text}") from None


def _check_urls(config: Config, path: str) -> None:
    """Refuse what a driver could not take apart: its own words would show a part of the password."""
    urls = {
        "nats.url": config.nats.url,
        "state.redis_url": config.state.redis_url,
        "analytics.clickhouse_url": config.analytics.clickhouse_url,
        **{f"upstream[{index}].base_url": upstream.base_url for index, upstream in enumerate(config.upstream)},
    }
    for name, url in urls.items():
        if url and not _has_host(url):
            raise StartError(f"{path}: {name}: not a URL with a host, and a port that is a number")


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        return parts.scheme == "unix" or (bool(parts.hostname) and parts.port != 0)
    except ValueError:
        return False


def _check_upstreams(config: Config, path: str) -> None:
    names = set()
    for index, upstream in enumerate(config.upstream):
        where = f"{path}: upstream[{index}]"
        if upstream.name in names or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", upstream.name):
            raise StartError(f"{where}.name: {upstream.name!r} is taken or not 1 to 64 letters, digits, - and _")
        names.add(upstream.name)
        if not re.match(r"https?://[^/\s]+", upstream.base_url):
            raise StartError(f"{where}.base_url: {upstream.base_url!r} is not an http(s) URL")
        _check_policies(upstream, where)
        if upstream.auth == "key" and bool(upstream.key_env) == bool(upstream.key_file):
            raise StartError(f'{where}: auth = "key" needs exactly one of key_env and key_file')


def _check_policies(upstream: Upstream, where: str) -> None:
    """A field with a counterpart has no policy, and what the rest of a request needs cannot be left out of it."""
    for name, policy in upstream.policies.items():
        field = FIELDS.get(name)
        if field is not None and not field.takes_policy:
            raise StartError(f"{where}.policies: {name!r} has a counterpart, and so no policy")
        if field is not None and not field.droppable and policy == "drop":
            raise StartError(f"{where}.policies: {name!r} cannot be dropped: what is left would mean another thing")


def upstream_key(upstream: Upstream, environ: Mapping[str, str]) -> str:
    """Return Parley's own key for `upstream`, empty with `auth = "client"`, without white space around it.

    Raises StartError when it lacks, or cannot stand in a header.
    """
    if upstream.auth == "client":
        return ""
    if upstream.key_env:
        key = environ.get(upstream.key_env, "").strip()
        source = f"the environment variable {upstream.key_env}"
    else:
        source = f"the file {upstream.key_file}"
        key = _read_key(Path(upstream.key_file), f"upstream {upstream.name}: {source}")
    if not key:
        raise StartError(f"upstream {upstream.name}: {source} gives no key")
    if not _BEARER.fullmatch(key):
        raise StartError(
            f"upstream {upstream.name}: {source} gives a key that cannot stand in a header: "
            "it has white space, control characters or others beyond ASCII in it"
        )
    return key


def _read_key(path: Path, source: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig").strip() if path.is_file() else ""
    except UnicodeDecodeError:
        raise StartError(f"{source} is not UTF-8") from None
    except OSError as error:
        raise StartError(f"{source} cannot be read: {error.strerror}") from None
