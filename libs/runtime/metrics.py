"""Every metric of every service, with its meaning; names are declared here once.

No label is unbounded: tenants, keys and conversations are in ClickHouse, not here.
"""

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LONG = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

# -- bus --------------------------------------------------------------------------------------------
BUS_CALLS = Counter(
    "parley_bus_calls_total", "Requests made on the bus, by subject and how they ended.", ["subject", "result"]
)
BUS_CALL_SECONDS = Histogram(
    "parley_bus_call_seconds", "Time of a bus request, retries included.", ["subject"], buckets=_LATENCY
)
BUS_HANDLED = Counter(
    "parley_bus_handled_total", "Requests a worker took, by subject and how they ended.", ["subject", "result"]
)
BUS_IN_FLIGHT = Gauge("parley_bus_in_flight", "Requests a worker is working on.", ["subject"])
BUS_DISCONNECTS = Counter("parley_bus_disconnects_total", "Times the connection to NATS was lost.")

# -- edge -------------------------------------------------------------------------------------------
HTTP_REQUESTS = Counter(
    "parley_http_requests_total", "Requests answered, by surface and status.", ["surface", "status"]
)
REFUSALS = Counter("parley_refusals_total", "Requests refused before any upstream call, by error code.", ["code"])
STREAMS = Gauge("parley_streams", "Answers being streamed to clients.")
CALL_OUTCOMES = Counter("parley_calls_total", "Model calls, by surface and outcome.", ["surface", "outcome"])
FIRST_OUTPUT_SECONDS = Histogram(
    "parley_first_output_seconds", "From request to first output byte.", ["surface"], buckets=_LONG
)
CALL_SECONDS = Histogram("parley_call_seconds", "From request to the end of the answer.", ["surface"], buckets=_LONG)
TOKENS = Counter("parley_tokens_total", "Tokens of answers, by kind.", ["kind"])
CONTINUITY = Counter("parley_continuity_total", "Continuity decisions, by mode and reason.", ["mode", "reason"])
FALLBACKS = Counter(
    "parley_fallbacks_total", "Continued calls sent again in plain form, by the upstream's code.", ["code"]
)
MARKS = Counter("parley_marks_total", "Calls to mark in their conversation, by result: marked or failed.", ["result"])
UNCHAINED = Counter(
    "parley_unchained_total", "Answers that did not go on from what they were to, by what became of them.", ["result"]
)
COMMITS = Counter("parley_commits_total", "Turns handed to the state service, by result.", ["result"])
ANSWER_LOSSES = Counter(
    "parley_answer_losses_total", "Parts of answers that have no place in a chat answer, by what they are.", ["what"]
)
TEXT_DIFFERENCES = Counter(
    "parley_text_differences_total", "Answers whose whole texts were not what their deltas said, by kind.", ["what"]
)
BAD_EVENTS = Counter("parley_bad_events_total", "Upstream events that could not be decoded.")
SPOOL_BYTES = Gauge("parley_spool_bytes", "Bytes waiting in the local spool: of records, and of the outbox.")
SPOOL_DROPPED = Counter("parley_spool_dropped_total", "Records lost because the spool was full or broken.")
OUTBOX = Counter("parley_outbox_total", "Requests to the state service that were kept on disk, by result.", ["result"])
OUTBOX_WAITING = Gauge(
    "parley_outbox_waiting", "Requests to the state service that are kept on disk until they are in."
)
RECORDS_PUBLISHED = Counter("parley_records_published_total", "Records acknowledged by JetStream.")

# -- state ------------------------------------------------------------------------------------------
STATE_TURNS = Counter("parley_state_turns_total", "Turns looked up, by result: hit or miss.", ["result"])
STATE_COMMITS = Counter(
    "parley_state_commits_total", "Turns to keep, by result: kept, without_items, tenant_full or deleted.", ["result"]
)
STATE_UNSEALABLE = Counter(
    "parley_state_unsealable_total", "Kept values that did not open: another secret, or damage; each counts as absent."
)
STATE_HEAD_CONFLICTS = Counter("parley_state_head_conflicts_total", "Heads that another writer moved first.")
STATE_STORE_SECONDS = Histogram(
    "parley_state_store_seconds", "Time of one request to the store, by operation.", ["operation"], buckets=_LATENCY
)

# -- analytics --------------------------------------------------------------------------------------
ROWS_INSERTED = Counter("parley_rows_inserted_total", "Rows that ClickHouse took.", ["table"])
INSERT_SECONDS = Histogram("parley_insert_seconds", "Time of one insert.", buckets=_LATENCY)
INSERT_FAILURES = Counter("parley_insert_failures_total", "Inserts that failed and are tried again.")
RECORDS_DEAD = Counter("parley_records_dead_total", "Records put aside because they could not become a row.")
RECORDS_DEAD_LOST = Counter(
    "parley_records_dead_lost_total", "Records that could not be put aside before the stream needed their room."
)
RECORDS_REPEATED = Counter("parley_records_repeated_total", "Records left out because the table had them already.")
RECORDS_MISSING = Counter("parley_records_missing_total", "Records of a batch that the stream no longer had.")
RECORDS_WAITING = Gauge("parley_records_waiting", "Records in the stream that have not been fetched.")
STREAM_EPOCHS = Counter("parley_stream_epochs_total", "Times the stream of records was found to be a new one.")
ACTIVE = Gauge("parley_analytics_active", "1 where this consumer holds the lease, 0 where it stands by.")


def render() -> bytes:
    """Return all metrics of this process in Prometheus' text format."""
    return generate_latest(REGISTRY)
