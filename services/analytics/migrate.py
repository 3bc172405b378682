"""Brings the database to the newest of the numbered files in `migrations/`; safe to repeat.

ClickHouse has no transactions over DDL: a file that failed half-way is applied again as a whole, so its
statements must be harmless the second time (`IF NOT EXISTS`).
"""

from pathlib import Path

from clickhouse_connect.driver.client import Client

from libs.runtime.logs import Log

MIGRATIONS = Path(__file__).parent / "migrations"

log = Log("parley.analytics.migrate")


def migrate(client: Client, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing, in order of the numbers; return the names applied. Raises ClickHouseError."""
    client.command(
        "CREATE TABLE IF NOT EXISTS migrations (number UInt32, name String, applied_ts DateTime DEFAULT now()) "
        "ENGINE = MergeTree ORDER BY number"
    )
    applied = {row[0] for row in client.query("SELECT number FROM migrations").result_rows}
    names = []
    for path in sorted(folder.glob("[0-9]*.sql")):
        number = int(path.stem.partition("_")[0])
        if number in applied:
            continue
        for statement in statements(path.read_text(encoding="utf-8")):
            client.command(statement)
        client.insert("migrations", [[number, path.stem]], column_names=["number", "name"])
        log.info("migration_applied", name=path.stem)
        names.append(path.stem)
    return names


def statements(text: str) -> list[str]:
    """Split a file at each `;` that ends a line."""
    return [part.strip() for part in f"{text}\n".split(";\n") if part.strip()]
