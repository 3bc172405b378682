from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from libs.schemas.config import Analytics
from services.analytics.clickhouse import connect
from services.analytics.migrate import MIGRATIONS, migrate, statements
from services.analytics.tables import TABLES


@pytest.fixture
def client(settings: Analytics) -> Iterator[Client]:
    first = connect(settings)
    first.command(f"CREATE DATABASE {settings.clickhouse_database}")
    first.close()
    client = connect(settings, database=settings.clickhouse_database)
    yield client
    client.close()


def tables(client: Client) -> set[str]:
    return {row[0] for row in client.query("SHOW TABLES").result_rows}


def test_the_migrations_are_applied_once_and_make_the_columns_that_the_records_declare(client: Client) -> None:
    assert migrate(client) == [path.stem for path in sorted(MIGRATIONS.glob("*.sql"))]
    assert migrate(client) == []
    assert tables(client) == {*TABLES, "migrations"}
    for table, columns in TABLES.items():
        made = {row[0]: row[1] for row in client.query(f"DESCRIBE TABLE {table}").result_rows}
        assert made.pop("ingest_ts") == "DateTime64(3, 'UTC')", "the table's own: when it took the row"
        assert made == columns, table


def test_a_later_file_is_applied_after_those_before_it(client: Client, tmp_path: Path) -> None:
    (tmp_path / "0002_b.sql").write_text("ALTER TABLE a ADD COLUMN IF NOT EXISTS y Int8;\n")
    (tmp_path / "0001_a.sql").write_text("CREATE TABLE IF NOT EXISTS a (x Int8) ENGINE = MergeTree ORDER BY x;")
    assert migrate(client, tmp_path) == ["0001_a", "0002_b"]
    (tmp_path / "0003_c.sql").write_text("-- two\nINSERT INTO a (x) VALUES (1);\nINSERT INTO a (x) VALUES (2);\n")
    assert migrate(client, tmp_path) == ["0003_c"]
    assert client.query("SELECT x, y FROM a ORDER BY x").result_rows == [(1, 0), (2, 0)]


def test_a_file_that_fails_is_tried_again_next_time(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "0001_a.sql"
    path.write_text("CREATE TABLE IF NOT EXISTS a (x Int8) ENGINE = MergeTree ORDER BY x;\nnonsense;\n")
    with pytest.raises(ClickHouseError):
        migrate(client, tmp_path)
    path.write_text("CREATE TABLE IF NOT EXISTS a (x Int8) ENGINE = MergeTree ORDER BY x;\n")
    assert migrate(client, tmp_path) == ["0001_a"]


def test_a_semicolon_inside_a_line_does_not_split() -> None:
    assert statements("SELECT ';' AS a;\n\n SELECT 2;\n") == ["SELECT ';' AS a", "SELECT 2"]


def test_rows_of_an_older_release_go_into_the_newest_tables(client: Client, tmp_path: Path) -> None:
    """Both run side by side in a rollout, and what was asked for was of another type before."""
    for path in sorted(MIGRATIONS.glob("000[12]*.sql")):
        (tmp_path / path.name).write_text(path.read_text())
    migrate(client, tmp_path)
    names = ["event_id", "ts", "model_requested"]
    older = ["String", "DateTime64(3, 'UTC')", "LowCardinality(String)"]
    for event_id in ("before", "after"):
        client.insert("calls", [[event_id, 1_800_000_000_000, "gpt"]], column_names=names, column_type_names=older)
        migrate(client)
    assert client.query("SELECT toTypeName(model_requested), count() FROM calls GROUP BY 1").result_rows == [
        ("String", 2)
    ]
    assert client.query("SELECT DISTINCT model_requested FROM calls").result_rows == [("gpt",)]
