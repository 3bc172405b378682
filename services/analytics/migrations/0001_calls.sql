-- One row per model call (libs/schemas/records.py, CallRecord). Rows are written once and never changed.
-- The deduplication windows make an insert repeated with its token a no-op; the replicated pair counts
-- where the database turns MergeTree into its replicated form.
-- tenant, model and model_requested are cut to 256 characters before they get here.
CREATE TABLE IF NOT EXISTS calls
(
    event_id String CODEC(ZSTD(1)),
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    ingest_ts DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(DoubleDelta, ZSTD(1)),
    stream_epoch LowCardinality(String),
    stream_seq UInt64 CODEC(Delta, ZSTD(1)),
    tenant LowCardinality(String),
    surface LowCardinality(String),
    model_requested LowCardinality(String),
    model LowCardinality(String),
    upstream LowCardinality(String),
    streamed Bool,
    outcome LowCardinality(String),
    http_status UInt16,
    error_code LowCardinality(String),
    finish_reason LowCardinality(String),
    request_id String CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    response_id String CODEC(ZSTD(1)),
    previous_response_id String CODEC(ZSTD(1)),
    conversation String CODEC(ZSTD(1)),
    input_tokens UInt64 CODEC(T64, ZSTD(1)),
    output_tokens UInt64 CODEC(T64, ZSTD(1)),
    cached_tokens UInt64 CODEC(T64, ZSTD(1)),
    reasoning_tokens UInt64 CODEC(T64, ZSTD(1)),
    ttft_ms Nullable(Float32),
    duration_ms Float32,
    tool_calls UInt32 CODEC(T64, ZSTD(1)),
    request_bytes UInt64 CODEC(T64, ZSTD(1)),
    response_bytes UInt64 CODEC(T64, ZSTD(1)),
    INDEX by_event_id event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_request_id request_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_response_id response_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_conversation conversation TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_trace_id trace_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant, toStartOfHour(ts), model, ts, event_id)
TTL toDateTime(ts) + INTERVAL 13 MONTH DELETE
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1;
