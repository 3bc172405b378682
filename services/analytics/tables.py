"""The tables of the records: their columns are those of the record types, and the place of a record in the stream."""

from libs.schemas.records import RECORD_TYPES, columns, table

# Where a record was in the stream. `ingest_ts`, the third column that no record has, is the tables' own default.
PLACE = {"stream_epoch": "LowCardinality(String)", "stream_seq": "UInt64"}

# Of each table: the ClickHouse type of each column, in the order of a row.
TABLES: dict[str, dict[str, str]] = {table(one): {**columns(one), **PLACE} for one in RECORD_TYPES}
