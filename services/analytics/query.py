"""Answers QUERY: one SELECT over the records, bounded in time, rows and bytes.

Nothing of a query runs before its syntax tree was judged, and everything runs under `readonly`. The
text that is judged and run is ClickHouse's own formatting of it: one statement, without comments.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import msgspec
from clickhouse_connect.driver.client import Client

from libs.runtime.call import BusContext
from libs.runtime.masking import masked
from libs.schemas.bus.query import QueryFailed, QueryOutcome, QueryReply, QueryRequest
from libs.schemas.config import Analytics
from services.analytics.clickhouse import CLICKHOUSE_ERRORS, connect, database_name
from services.analytics.read_only import CATEGORIES, OTHER_FUNCTIONS, refusal

CONCURRENCY = 4
MAX_ROWS = 10_000
MAX_SQL_CHARS = 65_536
MAX_RESULT_BYTES = 64 * 1024 * 1024  # in the engine; what of it fits a reply is cut later
MAX_MEMORY_BYTES = 1024**3
MAX_ERROR_CHARS = 2000
REPLY_ROOM = 64 * 1024  # for the column names and the frame of a reply

_FUNCTIONS = """
SELECT lower(f.name), max(f.is_aggregate OR hasAny({categories:Array(String)}, splitByString(', ', f.categories))
    OR hasAny({categories:Array(String)}, splitByString(', ', target.categories))
    OR lower(f.name) IN {others:Array(String)} OR lower(f.alias_to) IN {others:Array(String)})
FROM system.functions AS f LEFT JOIN system.functions AS target ON f.alias_to = target.name
GROUP BY 1
"""
_ROW = msgspec.json.Decoder(list[object])
_NAMES = msgspec.json.Decoder(list[str])
_PACK = msgspec.msgpack.Encoder()


class Refused(Exception):
    """The query is not one that may run; the message says why."""


class Queries:
    """The handler of QUERY. It opens a client of its own for every query; `enabled` says whether it may."""

    def __init__(self, settings: Analytics, reply_bytes: int) -> None:
        self.enabled = False
        self._settings = settings
        self._database = database_name(settings)
        self._budget = reply_bytes - REPLY_ROOM
        self._functions: dict[str, bool] = {}
        self._threads = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="query")

    async def handle(self, request: QueryRequest, context: BusContext) -> QueryOutcome:
        """Run the query; whatever is wrong with it is reported in QueryFailed."""
        if not self.enabled:
            return QueryFailed(message="this instance stands by; ask again")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, request)

    def _answer(self, request: QueryRequest) -> QueryOutcome:
        try:
            limit = min(max(request.limit, 0), MAX_ROWS)
            return to_reply(self._run(self._checked(request.sql), limit + 1), limit, self._budget)
        except (Refused, *CLICKHOUSE_ERRORS) as error:
            return QueryFailed(message=masked(str(error))[:MAX_ERROR_CHARS])

    def _client(self, limits: dict[str, str]) -> Client:
        bounds = {
            "max_execution_time": str(self._settings.query_seconds),
            "max_memory_usage": str(MAX_MEMORY_BYTES),
            "max_result_bytes": str(MAX_RESULT_BYTES),
            "result_overflow_mode": "throw",
            **limits,
            "readonly": "1",  # the last: after it no setting can be changed
        }
        return connect(self._settings, database=self._database, limits=bounds)

    def _checked(self, sql: str) -> str:
        """Return `sql` as ClickHouse reads it, or raise Refused."""
        if len(sql) > MAX_SQL_CHARS:
            raise Refused(f"the query is longer than {MAX_SQL_CHARS} characters")
        client = self._client({})
        try:
            functions = self._allowed(client)
            only = client.query("SELECT formatQuerySingleLine({sql:String})", parameters={"sql": sql})
            text = str(only.result_rows[0][0])
            # In brackets only a SELECT is good syntax, and one without FORMAT or INTO OUTFILE.
            tree = client.raw_query(f"EXPLAIN AST SELECT * FROM ({text})", fmt="TSVRaw").decode()
        finally:
            client.close()
        reason = refusal(tree, functions, self._database)
        if reason is not None:
            raise Refused(reason)
        return text

    def _allowed(self, client: Client) -> dict[str, bool]:
        if not self._functions:
            parameters = {"categories": list(CATEGORIES), "others": list(OTHER_FUNCTIONS)}
            rows = client.query(_FUNCTIONS, parameters=parameters).result_rows
            self._functions = {str(name): bool(allowed) for name, allowed in rows}
        return self._functions

    def _run(self, sql: str, limit: int) -> bytes:
        client = self._client({"limit": str(limit), "output_format_json_quote_64bit_integers": "0"})
        try:
            return client.raw_query(sql, fmt="JSONCompactEachRowWithNames")
        finally:
            client.close()


def to_reply(output: bytes, limit: int, budget: int) -> QueryReply:
    """Return the reply for `output`, a line of column names and a line per row, within `limit` rows and `budget` bytes.

    Raises Refused for a number that a reply cannot carry.
    """
    names, *lines = output.splitlines()
    rows: list[msgspec.Raw] = []
    for line in lines[:limit]:
        try:
            row = _PACK.encode(_ROW.decode(line))
        except OverflowError:
            raise Refused("a number has more than 64 bits: use toString") from None
        budget -= len(row)
        if budget < 0:
            break
        rows.append(msgspec.Raw(row))
    return QueryReply(columns=_NAMES.decode(names), rows=rows, truncated=len(rows) < len(lines))
