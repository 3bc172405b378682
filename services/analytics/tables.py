"""The tables of the records: which record goes where, and the columns of an insert.

They must agree with `migrations/` and with `libs/schemas/records.py`.
"""

from libs.schemas.records import CallRecord, HandoffRecord, Record

Columns = tuple[tuple[str, str], ...]

TABLES: dict[type[Record], str] = {CallRecord: "calls", HandoffRecord: "handoffs"}

# Of each table: name and type, in the order of a row; `ingest_ts` is the table's own default.
COLUMNS: dict[str, Columns] = {
    "calls": (
        ("event_id", "String"),
        ("ts", "DateTime64(3, 'UTC')"),
        ("stream_epoch", "LowCardinality(String)"),
        ("stream_seq", "UInt64"),
        ("tenant", "LowCardinality(String)"),
        ("surface", "LowCardinality(String)"),
        ("model_requested", "String"),
        ("model", "LowCardinality(String)"),
        ("upstream", "LowCardinality(String)"),
        ("streamed", "Bool"),
        ("outcome", "LowCardinality(String)"),
        ("http_status", "UInt16"),
        ("error_code", "LowCardinality(String)"),
        ("finish_reason", "LowCardinality(String)"),
        ("request_id", "String"),
        ("trace_id", "String"),
        ("response_id", "String"),
        ("previous_response_id", "String"),
        ("conversation", "String"),
        ("input_tokens", "UInt64"),
        ("output_tokens", "UInt64"),
        ("cached_tokens", "UInt64"),
        ("reasoning_tokens", "UInt64"),
        ("ttft_ms", "Nullable(Float32)"),
        ("duration_ms", "Float32"),
        ("tool_calls", "UInt32"),
        ("request_bytes", "UInt64"),
        ("response_bytes", "UInt64"),
    ),
    "handoffs": (
        ("event_id", "String"),
        ("ts", "DateTime64(3, 'UTC')"),
        ("stream_epoch", "LowCardinality(String)"),
        ("stream_seq", "UInt64"),
        ("tenant", "LowCardinality(String)"),
        ("request_id", "String"),
        ("trace_id", "String"),
        ("upstream", "LowCardinality(String)"),
        ("model", "LowCardinality(String)"),
        ("mode", "LowCardinality(String)"),
        ("reason", "LowCardinality(String)"),
        ("matched", "UInt32"),
        ("new_items", "UInt32"),
        ("conversation", "String"),
        ("session", "String"),
    ),
}
