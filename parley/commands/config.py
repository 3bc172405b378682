"""Check the configuration, or show what is in effect."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
import tomli_w

from libs.runtime import settings
from libs.runtime.errors import StartError
from libs.runtime.masking import MASK, masked
from libs.schemas.config import Config, Upstream
from parley.failure import Failure

_SECRET = ("authorization", "headers")  # of an MCP server among an upstream's tools

_file = click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group()
def command() -> None:
    """Check the configuration, or show what is in effect: parley.toml and the variables that override it."""


@command.command()
@_file
def check(file: Path | None) -> None:
    """Say whether the cluster would start with FILE (parley.toml), and list its upstreams."""
    environ = _environ(file)
    config = _load(environ)
    try:
        for upstream in config.upstream:
            settings.upstream_key(upstream, environ)
    except StartError as error:
        raise Failure(str(error)) from None
    click.echo(f"OK: {_source(environ)}")
    for upstream in config.upstream:
        click.echo(f"  {_summary(upstream)}")
    if not config.upstream:
        click.echo("  no upstream: `parley up` runs the simulator in its place")


@command.command()
@_file
def show(file: Path | None) -> None:
    """Print every setting in effect, as TOML; keys are never among them, credentials in URLs are masked."""
    click.echo(tomli_w.dumps(_shown(msgspec.to_builtins(_load(_environ(file))))), nl=False)


def _environ(file: Path | None) -> Mapping[str, str]:
    return os.environ if file is None else {**os.environ, "PARLEY_CONFIG": str(file)}


def _load(environ: Mapping[str, str]) -> Config:
    try:
        return settings.load(environ)
    except StartError as error:
        raise Failure(str(error)) from None


def _source(environ: Mapping[str, str]) -> str:
    path = environ.get("PARLEY_CONFIG", "parley.toml")
    return path if Path(path).exists() else f"the defaults and the environment, for there is no {path}"


def _summary(upstream: Upstream) -> str:
    key = upstream.key_env or upstream.key_file
    auth = "the caller's own key" if upstream.auth == "client" else f"the key in {key}"
    models = ", ".join((*upstream.aliases, *upstream.models))
    return f"{upstream.name}: {masked(upstream.base_url)}, with {auth}, for models {models}"


def _shown(value: Any) -> Any:
    """Return a value of the configuration without credentials, and without what is not set: TOML has no null."""
    if isinstance(value, dict):
        given = {key: content for key, content in value.items() if content is not None}
        return {key: MASK if key in _SECRET else _shown(content) for key, content in given.items()}
    if isinstance(value, list):
        return [_shown(entry) for entry in value]
    return masked(value) if isinstance(value, str) else value
