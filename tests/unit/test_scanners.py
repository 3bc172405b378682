"""Every expression and every hand-written scanner of the services, and that each takes linear time.

The code is walked: one that does not stand in a table here fails. Each is fed inputs made to be slow, and
then four times as much of them, for which at most six times the CPU time may go by.
"""

import ast
import contextlib
import importlib
import json
import re
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import cache, partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

from libs.runtime.masking import masked
from libs.schemas.config import Upstream
from libs.schemas.plan import StreamPlan
from libs.schemas.wire import surrogates
from libs.schemas.wire.errors import UpstreamErrorBody
from libs.translate import ids
from libs.translate.answer import error_paths as chat_paths
from libs.translate.answer import upstream_errors
from libs.translate.answer.stop import StopFilter
from libs.translate.continuity import fingerprint
from libs.translate.errors import InvalidRequest
from libs.translate.lift import MIN_BYTES, Skeleton, SpliceError, lift, placeholder, splice
from libs.translate.request import dropped, named_conversation
from libs.translate.request.models import _CHAT_ONLY, _NEVER_REASON, _NO_SAMPLING, _NO_SCHEMAS
from libs.translate.request.secrets import hide
from libs.translate.sse import FrameParser
from services.analytics import read_only
from services.edge.answering import stale_turns
from services.edge.errors import UpstreamKeyRefused
from services.edge.http import paths
from services.edge.surfaces import openai_paths
from services.edge.upstreams.own_key import OwnKey, StreamGuard

parser: Any = importlib.import_module("re._parser")
ROOT = Path(__file__).resolve().parents[2]
NONCE = "0123456789abcdef" * 2

# -- the tables -------------------------------------------------------------------------------------

# Expression -> what it reads.
EXPRESSIONS = {
    "libs/runtime/settings.py:_check_upstreams": "the configuration",
    "libs/runtime/masking.py:_RULES": "whatever is printed",
    "libs/runtime/settings.py:_BEARER": "the environment",
    "libs/schemas/wire/surrogates.py:_LONE": "an upstream's JSON",
    "libs/translate/request/body.py:_FIELD": "what msgspec says of a client's JSON",
    "libs/translate/request/body.py:_EXPECTED": "what msgspec says of a client's JSON",
    "libs/translate/request/body.py:_MISSING": "what msgspec says of a client's JSON",
    "libs/translate/lift.py:_DATA_URL": "the first bytes of a long string of a client's JSON",
    "libs/translate/lift.py:_BASE64": "the first and last bytes of a long string of a client's JSON",
    "libs/translate/request/named_conversation.py:_CONTROL": "names and ids that a client gives",
    "libs/translate/request/parts.py:_BASE64": "the first characters of a client's file",
    "libs/translate/answer/error_paths.py:_INPUT": "the parameter of an upstream's error",
    "libs/translate/answer/error_paths.py:_TOOL": "the parameter of an upstream's error",
    "libs/translate/answer/error_paths.py:_INNER": "the parameter of an upstream's error",
    "libs/translate/answer/error_paths.py:_GRAMMAR": "the parameter of an upstream's error",
    "libs/translate/answer/error_paths.py:_FIRST_NAME": "the parameter of an upstream's error",
    "libs/translate/answer/error_paths.py:_QUOTED": "the message of an upstream's error",
    "libs/translate/answer/error_paths.py:_BARE": "the message of an upstream's error",
    "libs/translate/answer/error_paths.py:_NO_JSON": "the message of an upstream's error",
    "libs/translate/request/dropped.py:_INDEX": "names of a client's fields",
    "libs/translate/request/dropped.py:_UNSAFE": "names of a client's fields",
    "libs/translate/answer/upstream_errors.py:_STALE_WORDS": "the message of an upstream's error",
    "libs/translate/answer/upstream_errors.py:_KEY_REFUSED": "the message of an upstream's error",
    "libs/translate/answer/upstream_errors.py:_OF_KEY": "the message of an upstream's error",
    "services/analytics/clickhouse.py:_NAME": "the configuration",
    "services/edge/surfaces/conversations.py:_LIMIT": "a query parameter",
    "services/edge/http/exchange.py:_SECONDS": "a header",
    "services/edge/disk/folders.py:_NAME": "names of the edge's own files",
    "services/edge/disk/outbox.py:_NAME": "names of the edge's own files",
    "services/edge/upstreams/own_key.py:_FRAME_END": "an upstream's stream",
    "services/edge/upstreams/own_key.py:_SAFE_CODE": "the code of an upstream's error",
    "services/edge/answering/stale_turns.py:_UNCHAINED": "the message of an upstream's error",
    "services/state/keys.py:_HEX": "digests in messages of the bus",
    "services/state/keys.py:_TENANT": "digests in messages of the bus",
}

# Function that matches with globs -> what it matches. The globs are the configuration's, or our own.
GLOBS = {
    "libs/translate/request/models.py:_matched": "a client's model",
    "libs/translate/request/routing.py:_matches": "the start of a client's model",
    "libs/translate/request/tool_choice.py:_hosted": "types of a client's tools",
    "libs/translate/request/tools.py:_is_hosted": "types of a client's tools",
    "libs/translate/request/tools.py:_check_hosted": "types of a client's tools",
    "services/edge/ownership/owners.py:shared": "ids that a client names",
}

# Function that searches or cuts in a loop, but no text of a client or an upstream -> what it goes over.
ELSEWHERE = {
    "libs/runtime/settings.py:_override": "the environment",
    "libs/translate/continuity/arguments.py:_split": "digests of our own",
    "libs/translate/answer/fanout.py:_interleaved": "a list of chunks",
    "libs/translate/answer/item_fates.py:losses": "a list of items",
    "libs/translate/request/messages.py:_leading_run": "a list of messages",
    "libs/translate/request/parts.py:named": "a list of parts",
    "libs/translate/request/results.py:to_typed_result": "a table of fields",
    "libs/translate/answer/text.py:_more": "a list of log probabilities",
    "services/analytics/migrate.py:migrate": "names of the migrations' files",
    "services/analytics/migrate.py:statements": "the migrations",
    "services/edge/answering/attempt.py:_end": "names of losses",
    "services/edge/answering/rendering.py:_end": "chunks",
    "services/edge/ownership/claiming.py:claim": "a list of ids",
    "services/edge/http/media.py:skeleton": "the start of a body, once",
    "services/edge/surfaces/openai_paths.py:": "a table of its own",
    "services/edge/records/spool.py:_lines": "the edge's own files",
    "services/edge/upstreams/client.py:_pieces": "a body, in large pieces",
}

Make = Callable[[int], Any]


def _tried(*errors: type[Exception]) -> Callable[[Callable[[Any], Any]], Callable[[Any], None]]:
    """Make a scanner one that may refuse what it is given."""

    def tried(run: Callable[[Any], Any]) -> Callable[[Any], None]:
        def wrapped(given: Any) -> None:
            try:
                run(given)
            except errors:
                return

        return wrapped

    return tried


def _repeated(*units: bytes | str, before: Any = None, after: Any = None) -> list[Make]:
    """Makers of a text of a given length that is one of the units again and again."""

    def maker(unit: Any) -> Make:
        empty = unit[:0]
        return lambda size: (before or empty) + unit * (size // len(unit)) + (after or empty)

    return [maker(unit) for unit in units]


def _fed(data: bytes, step: int) -> None:
    frames = FrameParser()
    for start in range(0, len(data), step):
        frames.feed(data[start : start + step])


def _guarded(data: bytes, step: int = 64) -> None:
    guard = StreamGuard(OwnKey(Upstream(name="one", base_url="http://one"), "sk-" + "1" * 20), lambda *_: b"")
    with contextlib.suppress(UpstreamKeyRefused):
        for start in range(0, len(data), step):
            guard.feed(data[start : start + step])
        guard.finish()


def _guarded_whole(data: bytes) -> None:
    _guarded(data, 1 << 30)


def _stopped(text: str) -> None:
    stops = StopFilter(["a" * 1024, "a" * 512 + "b", "ab" * 256, "\n"])
    for start in range(0, len(text), 8):
        stops.feed(text[start : start + 8])


def _shelled(body: bytes) -> Skeleton:
    return Skeleton(body, NONCE, [], [])


def _placed(count: int) -> tuple[bytes, Skeleton]:
    names = [placeholder(NONCE, index) for index in range(count // 64)]
    return json.dumps(names).encode(), Skeleton(b"", NONCE, [], [b"x"] * len(names))


def _many(count: int) -> tuple[str, dict[str, str]]:
    names = [placeholder(NONCE, index) for index in range(count // 64)]
    return json.dumps(names), dict.fromkeys(names, "0" * 64)


_LONG = b"A" * MIN_BYTES
_BODIES = [
    *_repeated(b'"headers":{\\" ', before=b'{"model":"x","type":"mcp",'),
    *_repeated(b"a", b'"a":"b",', b'\\"', b"\\\\", before=b'{"type":"mcp","headers":{'),
    *_repeated(b'"authorization":"\\\\', b'"authorization":"s",', before=b'{"type":"mcp",'),
    *_repeated(b'"authorization":"s",', before=b'{"tools":[{"type":"mcp",', after=b'"a":0}]}'),
    *_repeated(b'"a":0,', before=b'{"tools":[{"type":"mcp","authorization":"s",', after=b'"a":0}]}'),
    *_repeated(b'{"type":"mcp","authorization":"s"},', before=b'{"tools":[', after=b"{}]}"),
    *_repeated(b"{},", before=b'{"x":"mcp","tools":[', after=b"{}]}"),
    *_repeated(b'"tools":[{"authorization":"s"}],', before=b'{"x":"mcp",', after=b'"y":0}'),
    *_repeated(b'[{"tools":', b"[", b'{"a":', before=b'{"x":"mcp","tools":'),
    *_repeated(b"\\u0061", b"\\u00e9", b'\\"tools\\":[', before=b'{"x":"', after=b'"}'),
]
_TEXTS = [
    *_repeated(b'"', b'\\"', b" ", b":", b'":', b'" : "', b"{", b'"url" : ', b'{"image_url":{"url":"'),
    *_repeated(b'{"image_url":"' + _LONG + b'"},', b'"url":"' + _LONG + b'",', b'"' + _LONG + b'"' + b" " * MIN_BYTES),
    *_repeated(b'"image_url"' + b" " * 5000 + b":" + b" " * 5000 + b'"' + _LONG, b'"data:a/b;' + _LONG),
]
_FRAMES = [
    *_repeated(b"\n", b"\r", b"\r\n", b"\n\r", b"data:\n", b"data: x\n", b"event: a\n", b":\n", b"data: x\n\n", b"x"),
    *_repeated(b"\xef\xbb\xbf", b"event: a\ndata: b\n\n", b"event: a\r\ndata: b\r\n\r\n", b"data: x\n", after=b"\n\n"),
]
_WORDS = [
    *_repeated(
        "'", "'a", "'a.", "'a.a", "'a[1]", "`input[1]", "input[1].a", "input[", "input[1", "[1]", ".a", "tools[1]."
    ),
    *_repeated("item with id ", "Item with ID x not foun", "previous response with id", "must contain the word 'jso"),
    *_repeated("\u0130", "without its required reasonin", " not found", "reasoning.effort.", "a.", "1"),
    *_repeated("a.", "a[", "1", before="input[0]."),
    *_repeated("1", "input[1", before="input["),
]
_FAILURES = [
    *_repeated(b"a", b"\r", b"\n", b"\ndata:", b"\r\n", before=b"event: error\ndata: " + b"x" * 128),
    *_repeated(b"a", b"\r", b"data: error\n", b"event: error\ndata: {}\n\n", b'data: {"error":{}}\r\r'),
]
_AST = [*_repeated("a", " (alias x)", " (children 1)", " (alias ", " (children ", ")", " ", before="Function ")]

# Scanner -> what it reads, how it is run, and what is made to be slow for it.
SCANNERS: dict[str, tuple[str, Callable[[Any], Any], list[Make]]] = {
    "libs/translate/lift.py:_spans": ("a client's JSON", lambda body: lift(body, NONCE), _TEXTS + _BODIES),
    "libs/translate/lift.py:lift": ("a client's JSON", lambda body: lift(body, NONCE), _TEXTS),
    "libs/translate/lift.py:splice": (
        "a converted body",
        _tried(SpliceError)(lambda given: splice(*given)),
        [
            _placed,
            lambda size: (f"parley-lift:{NONCE}:".encode() * (size // 45), _placed(64)[1]),
            lambda size: (f"parley-lift:{NONCE}:".encode() + b"1" * size, _placed(64)[1]),
        ],
    ),
    "libs/translate/request/secrets.py:hide": (
        "a client's JSON",
        _tried(InvalidRequest)(lambda body: hide(_shelled(body))),
        _BODIES,
    ),
    "libs/translate/continuity/fingerprint.py:_with_digests": (
        "a tool's typed result",
        lambda given: fingerprint._with_digests(*given),
        [_many, lambda size: (f"parley-lift:{NONCE}:" * (size // 45), _many(4096)[1])],
    ),
    "libs/translate/sse.py:_frames": ("an upstream's stream", lambda data: _fed(data, 65536), _FRAMES),
    "libs/translate/sse.py:_parse_lines": ("an upstream's stream", lambda data: _fed(data, 1 << 30), _FRAMES),
    "libs/translate/sse.py:feed": ("an upstream's stream, in small pieces", lambda data: _fed(data, 7), _FRAMES),
    "libs/translate/answer/stop.py:feed": ("an upstream's text", _stopped, _repeated("a", "ab", "aab", "b")),
    "libs/translate/answer/error_paths.py:to_chat_text": (
        "the message of an upstream's error",
        lambda text: chat_paths.to_chat_text(text, StreamPlan(stream=False)),
        _WORDS,
    ),
    "libs/translate/answer/error_paths.py:_prefixed": (
        "the parameter of an upstream's error",
        lambda text: chat_paths.to_chat_param(text, StreamPlan(stream=False, renames={"tools[0]": "tools[1]"})),
        _WORDS,
    ),
    "libs/translate/request/dropped.py:to_header_names": (
        "names of a client's fields",
        lambda text: dropped.to_header_names([text, text + "[0]", *text.split(".")]),
        _repeated("[", "[1", "[1]", "\xe9", "a.", "[0].a."),
    ),
    "libs/translate/answer/upstream_errors.py:is_stale": (
        "the message of an upstream's error",
        lambda text: upstream_errors.is_stale(UpstreamErrorBody(message=text)),
        _WORDS,
    ),
    "libs/translate/request/named_conversation.py:check_name": (
        "a name that a client gives",
        _tried(InvalidRequest)(lambda text: named_conversation.check_name(text, "x")),
        _repeated("a", "\x00", "\x85"),
    ),
    "libs/translate/ids.py:response_id": ("an id in a path", ids.response_id, _repeated("chatcmpl-", "~", "resp_")),
    "services/analytics/read_only.py:refusal": (
        "how ClickHouse reads a query",
        lambda text: read_only.refusal(text, {}, "parley"),
        _AST + _repeated("SelectQuery (children 1)\n", " \n"),
    ),
    "services/analytics/read_only.py:_callable": (
        "the name of a function in a query",
        lambda name: read_only._callable(name, {}),
        _repeated("mergestate", "simplestate", "if", "argmin", "statemergestate"),
    ),
    "services/edge/http/paths.py:below": (
        "a relayed path",
        _tried(InvalidRequest)(lambda raw: paths.below({"raw_path": raw, "path": "/v1/x", "method": "GET"})),
        _repeated(b"/", b"/a", b"%2F", b"%", b"/..", b"v1/", before=b"/v1/models/"),
    ),
    "libs/runtime/masking.py:masked": (
        "whatever is printed",
        masked,
        _repeated("://", "a:", "a:b@", "?", "&password", "bearer ", "Bearer a", "sk-", "@", "a"),
    ),
    "libs/schemas/wire/surrogates.py:read_text": (
        "an upstream's JSON",
        lambda data: surrogates.read_text(data, "x"),
        _repeated(b"\\ud83d", b"\\ude00", b"\\\\", b"\xed\xa0\x80", b"a", before=b'{"x":"', after=b'"}'),
    ),
    "services/edge/surfaces/openai_paths.py:segments": (
        "a relayed path",
        openai_paths.segments,
        _repeated("/", "/a", "%2F", "?"),
    ),
    "services/edge/surfaces/openai_paths.py:why_refused": (
        "a relayed path",
        lambda path: openai_paths.why_refused(path.split("/")),
        _repeated("/", "/a", "organization/"),
    ),
    "services/edge/upstreams/own_key.py:feed": ("an upstream's stream, in small pieces", _guarded, _FAILURES),
    "services/edge/upstreams/own_key.py:_judged": ("an upstream's stream", _guarded_whole, _FAILURES),
    "services/edge/answering/stale_turns.py:_names": (
        "the message of an upstream's error",
        lambda text: stale_turns._names(text, text[: len(text) // 2]),
        _repeated("a", "ab", "a-", "a:"),
    ),
}

# -- the walk ---------------------------------------------------------------------------------------

_OF_RE = frozenset(
    {"compile", "search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer", "template"}
)
_OF_TEXT = frozenset({"find", "rfind", "index", "rindex", "partition", "rpartition", "split", "rsplit", "splitlines"})
_OF_TEXT |= {"replace", "translate"}
_MEETS_BYTES = ("libs/schemas/", "libs/translate/", "services/converter/", "services/edge/")
_LOOPS = (ast.While, ast.For, ast.AsyncFor, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FORBIDDEN = frozenset({"regex", "re2", "sre_compile", "sre_parse", "pyparsing", "parse"})


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for top in ("libs", "services"):
        for path in sorted((ROOT / top).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def walked(file: str, tree: ast.Module) -> tuple[set[str], set[str], set[str], set[str]]:
    """Return what stands in a module: expressions, uses of globs, loops that search, and what no table can hold."""
    expressions, globs, loops, wrong = set[str](), set[str](), set[str](), set[str]()
    for owner, node in _owned(tree):
        if isinstance(node, ast.Import):
            wrong |= {f"{file}:{one.name}" for one in node.names if one.name.partition(".")[0] in _FORBIDDEN}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in _FORBIDDEN | {"re"}:
            wrong.add(f"{file}:{node.module}")
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.startswith("re.") and called.removeprefix("re.") in _OF_RE:
                expressions.add(f"{file}:{owner}")
            if called in ("fnmatch", "fnmatchcase") or called.startswith("fnmatch."):
                globs.add(f"{file}:{owner}")
            wrong |= {f"{file}:{owner}" for keyword in node.keywords if keyword.arg == "pattern"}
        cuts = file.startswith(_MEETS_BYTES)
        if isinstance(node, _LOOPS) and any(_searches(inner, cuts=cuts) for inner in ast.walk(node)):
            loops.add(f"{file}:{owner}")
    return expressions, globs, loops, wrong


def _owned(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Each node, and the function or the module's name that it belongs to."""

    def within(node: ast.AST, owner: str) -> Iterator[tuple[str, ast.AST]]:
        yield owner, node
        for child in ast.iter_child_nodes(node):
            inner = owner
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = child.name
            elif isinstance(child, ast.Assign | ast.AnnAssign) and owner == "":
                target = child.targets[0] if isinstance(child, ast.Assign) else child.target
                inner = ast.unparse(target)
            yield from within(child, inner)

    return within(tree, "")


def _searches(node: ast.AST, *, cuts: bool) -> bool:
    if isinstance(node, ast.Subscript):
        return cuts and isinstance(node.slice, ast.Slice)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in _OF_TEXT and ast.unparse(node.func.value) not in ("msgspec.structs", "os")


def test_every_expression_and_every_scanner_stands_in_a_table() -> None:
    expressions, globs, loops, wrong = set[str](), set[str](), set[str](), set[str]()
    for file, tree in _sources():
        for whole, found in zip((expressions, globs, loops, wrong), walked(file, tree), strict=True):
            whole |= found
    assert wrong == set()
    assert expressions == EXPRESSIONS.keys()
    assert globs == GLOBS.keys()
    assert loops - SCANNERS.keys() == ELSEWHERE.keys()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import re\n_X = re.compile('a')", "expressions"),
        ("import re\n_X = (1, (re.compile('a'), 2))", "expressions"),
        ("import re\ndef f(t):\n    return re.search('a', t)", "expressions"),
        ("import re\nclass A:\n    x = re.compile('a')", "expressions"),
        ("from re import compile", "wrong"),
        ("import re2", "wrong"),
        ("import msgspec\nX = msgspec.Meta(pattern='a')", "wrong"),
        ("from fnmatch import fnmatchcase\ndef f(t):\n    return fnmatchcase(t, 'a')", "globs"),
        ("def f(t):\n    while t.find('a'):\n        pass", "loops"),
        ("def f(t):\n    return [a.partition('=') for a in t]", "loops"),
        ("class A:\n    async def f(self, t):\n        for k in t:\n            t[k:]", "loops"),
        ("def f(t):\n    return t.find('a')", ""),
        ("def f(t):\n    return [msgspec.structs.replace(a, b=1) for a in t]", ""),
    ],
)
def test_the_walk_finds_it(source: str, found: str) -> None:
    names = ("expressions", "globs", "loops", "wrong")
    held = dict(zip(names, walked("services/edge/x.py", ast.parse(source)), strict=True))
    assert [name for name in names if held[name]] == ([found] if found else [])


# -- expressions ------------------------------------------------------------------------------------


@cache
def _patterns(key: str) -> list[tuple["re.Pattern[Any]", str]]:
    """The expressions under a key, each with a method that it is used by."""
    file, _, owner = key.partition(":")
    tree = ast.parse((ROOT / file).read_text())
    nodes = [node for within, node in _owned(tree) if within == owner and isinstance(node, ast.Call)]
    inline = [(ast.unparse(node.func).removeprefix("re."), node) for node in nodes if _is_use(node)]
    found = [(re.compile(ast.literal_eval(node.args[0])), method) for method, node in inline]
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    used = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == owner
    }
    for pattern in _flat(getattr(module, owner, ())):
        found += [(pattern, method) for method in sorted(used & _OF_RE or {"search", "sub", "fullmatch"})]
    return found


def _is_use(node: ast.Call) -> bool:
    called = ast.unparse(node.func)
    return called.startswith("re.") and called.removeprefix("re.") in _OF_RE - {"compile"}


def _flat(value: Any) -> Iterator["re.Pattern[Any]"]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _flat(one)


def _tokens(tree: Any) -> list[str]:
    """A text that the expression matches, in pieces."""
    made: list[str] = []
    for kind, value in tree:
        made += _token(str(kind), value)
    return made


def _token(kind: str, value: Any) -> list[str]:
    if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return _tokens(value[2]) * max(int(value[0]), 1)
    if kind == "SUBPATTERN":
        return _tokens(value[-1])
    if kind == "BRANCH":
        return _tokens(max(value[1], key=len))
    if kind == "ATOMIC_GROUP":
        return _tokens(value)
    characters = _characters(kind, value)
    return characters[:1]


def _characters(kind: str, value: Any) -> list[str]:
    """Some characters that one element matches."""
    if kind == "LITERAL":
        return [chr(value)]
    if kind in ("ANY", "NOT_LITERAL"):
        return ["x"]
    if kind == "IN":
        if str(value[0][0]) == "NEGATE":
            return ["x", " "]
        return [one for inner, what in value for one in _characters(str(inner), what)]
    if kind == "RANGE":
        return [chr(value[0])]
    if kind == "CATEGORY":
        return {"CATEGORY_DIGIT": ["1"], "CATEGORY_WORD": ["a", "1"], "CATEGORY_SPACE": [" "]}.get(str(value), ["!"])
    return ["'"] if kind == "GROUPREF" else []


def _inner(tree: Any) -> Iterator[tuple[str, Any]]:
    """All elements of an expression."""
    for kind, value in tree:
        yield str(kind), value
        for below in _below(str(kind), value):
            yield from _inner(below)


def _below(kind: str, value: Any) -> list[Any]:
    if kind == "BRANCH":
        return list(value[1])
    if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return [value[2]]
    if kind == "SUBPATTERN":
        return [value[-1]]
    if kind in ("ASSERT", "ASSERT_NOT"):
        return [value[1]]
    return [value] if kind == "ATOMIC_GROUP" else []


def _slow_inputs(pattern: "re.Pattern[Any]") -> list[Make]:
    """Texts that almost match, again and again."""
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else 0)
    tokens = _tokens(tree)
    characters = {"!", " ", "a", "1", *(one for kind, value in _inner(tree) for one in _characters(kind, value))}
    units = {"".join(tokens), *map("".join, product(sorted(characters)[:12], repeat=2))}
    step = max(1, len(tokens) // 12)
    beginnings = {"".join(tokens[:end]) for end in range(0, len(tokens) + 1, step)} | {"".join(tokens)}
    units |= beginnings | {beginning + one for beginning in beginnings for one in characters}
    made = [_text(pattern, "", unit) for unit in units if unit]
    return made + [_text(pattern, beginning, one) for beginning in beginnings for one in characters]


def _text(pattern: "re.Pattern[Any]", before: str, unit: str) -> Make:
    def make(size: int) -> Any:
        text = before + unit * (size // len(unit)) + "\x00"
        return text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text

    return make


@pytest.mark.parametrize("key", EXPRESSIONS)
def test_expression_takes_linear_time(key: str) -> None:
    found = _patterns(key)
    assert found, "nothing stands under this name"
    for pattern, method in found:
        for make in _slow_inputs(pattern):
            run = getattr(pattern, method)
            assert_linear(partial(run, pattern.pattern[:0]) if method in ("sub", "subn") else run, make, 1024)


@pytest.mark.parametrize("key", EXPRESSIONS)
def test_expression_has_no_nested_or_adjacent_unbounded_repeats(key: str) -> None:
    for pattern, _ in _patterns(key):
        assert _ambiguous(pattern.pattern) == []


def _ambiguous(source: str | bytes) -> list[str]:
    """What could go back over a text in more than one way; possessive repeats never do."""
    tree = parser.parse(source)
    found = []
    for kind, value in _inner([("SUBPATTERN", (None, 0, 0, tree))]):
        if _is_unbounded(kind, value) and any(_is_unbounded(*one) for one in _inner(value[2])):
            found.append("nested")
        for below in _below(kind, value):
            needed = [one for one in below if not _may_lack(str(one[0]), one[1]) or _is_unbounded(str(one[0]), one[1])]
            if any(all(_ends_unbounded(str(k), v) for k, v in two) for two in pairwise(needed)):
                found.append("adjacent")
    return found


def _is_unbounded(kind: str, value: Any) -> bool:
    return kind in ("MAX_REPEAT", "MIN_REPEAT") and value[1] is parser.MAXREPEAT


def _ends_unbounded(kind: str, value: Any) -> bool:
    if kind == "SUBPATTERN" and len(value[-1]) == 1:
        inner, what = value[-1][0]
        return _ends_unbounded(str(inner), what)
    return _is_unbounded(kind, value)


def _may_lack(kind: str, value: Any) -> bool:
    return kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and value[0] == 0


@pytest.mark.parametrize("source", ["(a+)+", "(?:a|b*)*", "a*a*", "a+b?a+", "(a+)(a+)", "x(?:;[a-z]+)*y", "(?:a.*)+"])
def test_the_check_catches_an_ambiguous_expression(source: str) -> None:
    assert _ambiguous(source)
    assert not _ambiguous(r"(?:\[\d{1,9}\]|\.\w++)*+[a-z]+=\d+(?:x{0,3}y)?")


@pytest.mark.parametrize("key", GLOBS)
def test_globs_take_linear_time(key: str) -> None:
    globs = ("*", "gpt-*", "*a*a*b", "*-search-*", "[ab]*[ab]*c", "?*?*x", "*ab*ab*ab")
    for glob in (*globs, *_CHAT_ONLY, *_NEVER_REASON, *_NO_SAMPLING, *_NO_SCHEMAS):
        for make in _repeated("a", "ab", "-", "-search-", "gpt-", "x\n"):
            assert_linear(partial(fnmatchcase, pat=glob), make, 2048)


# -- scanners ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", SCANNERS)
def test_scanner_takes_linear_time(key: str) -> None:
    file, _, name = key.partition(":")
    assert any(
        isinstance(node, ast.FunctionDef) and node.name == name
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
    )
    _, run, makes = SCANNERS[key]
    for make in makes:
        assert_linear(run, make, 16 * 1024)


SHORTEST_SECONDS = 100e-6  # what takes less cannot be measured well


def assert_linear(run: Callable[[Any], Any], make: Make, size: int) -> None:
    """Assert that four times as much takes at most six times as long; a busy machine gets three tries."""
    small, large = make(size), make(4 * size)
    for _ in range(3):
        if _seconds(run, large, 1) <= 6 * SHORTEST_SECONDS:
            return
        allowed = 6 * max(_seconds(run, small), SHORTEST_SECONDS)
        taken = _seconds(run, large)
        if taken <= allowed:
            return
    raise AssertionError(f"{taken:.6f} s where {allowed:.6f} s are allowed: {large[:80]!r}")


def _seconds(run: Callable[[Any], Any], given: Any, tries: int = 5) -> float:
    """The thread's CPU time, the best of some tries."""
    best = float("inf")
    for _ in range(tries):
        begun = time.thread_time()
        run(given)
        best = min(best, time.thread_time() - begun)
    return best


def test_the_measure_catches_the_square() -> None:
    with pytest.raises(AssertionError):
        assert_linear(re.compile("a*b").search, _repeated("a")[0], 1024)


def test_the_measure_catches_what_froze_an_edge() -> None:
    stale_words = re.compile("item with id .* not found").search
    with pytest.raises(AssertionError):
        assert_linear(stale_words, _repeated("item with id ")[0], 1024)
