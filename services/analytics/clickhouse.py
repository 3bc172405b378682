"""Opens ClickHouse: the engine inside this process, or a server over HTTP; the SQL is the same.

A handle of the embedded engine whose query failed leaves that query's output in front of the next
one's; so handles for foreign queries are used once.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from libs.runtime.errors import StartError
from libs.schemas.config import Analytics

# What the client raises when the database is away, refuses, or its answer is lost.
CLICKHOUSE_ERRORS = (ClickHouseError, OSError, RuntimeError)
SEND_RECEIVE_SECONDS = 60

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def connect(settings: Analytics, *, database: str | None = None, limits: Mapping[str, str] | None = None) -> Client:
    """Return a client, its settings `limits` applied in order. Raises CLICKHOUSE_ERRORS. Blocks."""
    if settings.clickhouse_url:
        client = clickhouse_connect.get_client(
            dsn=settings.clickhouse_url,
            interface=urlsplit(settings.clickhouse_url).scheme,
            database=database,
            send_receive_timeout=SEND_RECEIVE_SECONDS,
            autogenerate_session_id=False,  # a session serves one query at a time
        )
    else:
        client = _open_embedded(settings.chdb_path, database)
    for name, value in (limits or {}).items():
        client.set_client_setting(name, value)
    return client


def _open_embedded(path: str, database: str | None) -> Client:
    try:
        return clickhouse_connect.get_client(interface="chdb", path=path, database=database)
    except ClickHouseError as error:
        raise OSError(f"{path} (which one process at a time can open): {error}") from error


def database_name(settings: Analytics) -> str:
    """Return the database's name. Raises StartError when it would need quoting, or the URL is none."""
    name, url = settings.clickhouse_database, settings.clickhouse_url
    if url and urlsplit(url).scheme not in ("http", "https"):
        raise StartError("analytics.clickhouse_url: not an http(s) URL")
    if not _NAME.fullmatch(name):
        raise StartError(f"analytics.clickhouse_database: {name!r} is not letters, digits and _")
    return name
