-- One row per continuity decision (libs/schemas/records.py, HandoffRecord). Rows are written once and never changed.
-- The deduplication windows are those of `calls`, and for the same reason.
-- tenant, model and reason are cut to 256 characters before they get here.
CREATE TABLE IF NOT EXISTS handoffs
(
    event_id String CODEC(ZSTD(1)),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    ingest_ts DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(DoubleDelta, ZSTD(1)),
    stream_epoch LowCardinality(String),
    stream_seq UInt64 CODEC(Delta, ZSTD(1)),
    tenant LowCardinality(String),
    request_id String CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    upstream LowCardinality(String),
    model LowCardinality(String),
    mode LowCardinality(String),
    reason LowCardinality(String),
    matched UInt32 CODEC(T64, ZSTD(1)),
    new_items UInt32 CODEC(T64, ZSTD(1)),
    conversation String CODEC(ZSTD(1)),
    session String CODEC(ZSTD(1)),
    INDEX by_event_id event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_request_id request_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_trace_id trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_conversation conversation TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_session session TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant, toStartOfHour(ts), mode, ts, event_id)
TTL toDateTime(ts) + INTERVAL 13 MONTH DELETE
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1;
