"""Bodies that are hard to read, sent beside streams: how long does a stream stand still?

Other streams come straight from the simulator: what these stand still longer than at rest is the simulator's, or the
machine's, and no edge's.
"""

import asyncio
import http.client
import time
from collections.abc import Awaitable
from random import Random

from tests.faults.client import CHAT, KEY, RESPONSES, Answer, Client, chat_body
from tests.faults.counts import GAP_ALLOWED, Counts
from tests.faults.registry import scenario
from tests.faults.site import Site
from tests.faults.sizes import Sizes

_STREAMS = 4
_TRIES = 3
_LEAST_SECONDS = 0.15
_KIB = 1024


def _repeated(head: bytes, piece: bytes, size: int, tail: bytes = b"") -> bytes:
    return head + piece * (size // len(piece)) + tail


def bodies(size: int) -> dict[str, bytes]:
    """Return the bodies by name; none is longer than `size` bytes and a few more."""
    mcp, chat = b'{"model":"x","type":"mcp",', b'{"model":"gpt-5-mini","messages":[{"role":"user","content":'
    mib = min(_KIB * _KIB, size)
    return {
        **{
            f"{name} {kib} KiB": _repeated(mcp, piece, kib * _KIB)
            for kib in (32, 64, mib // _KIB)
            for name, piece in (("headers, cut off", b'"headers":{\\" '), ("headers", b'"headers":{"'))
        },
        "one header of an MCP server": _repeated(b'{"type":"mcp","headers":{', b"a", mib),
        "escapes for mcp": _repeated(b'{"model":"x","tools":[{"type":"', b"m\\u0063p", mib),
        "authorization, not closed": _repeated(mcp, b'"authorization":"\\" ', mib),
        "tools by the thousand": _repeated(
            b'{"model":"x","messages":[],"tools":[', b'{"type":"mcp","headers":{"a":"b"}},', mib, b"{}]}"
        ),
        "arrays in arrays": _repeated(b"", b"[", mib),
        "objects in objects": _repeated(b"", b'{"a":', mib),
        "content in content": _repeated(chat, b"[", mib),
        "quotes": _repeated(chat + b'"', b'\\"', mib),
        "backslashes": _repeated(chat + b'"', b"\\\\", mib),
        "half a data URL": _repeated(chat + b'"', b"data:image/png;base64,", mib),
        "white space": _repeated(b'{"model":', b" \t\n", mib, b'"x"}'),
        "digits": _repeated(b'{"model":"x","seed":', b"9", mib, b"}"),
        "messages by the thousand": _repeated(
            b'{"model":"gpt-5-mini","messages":[', b'{"role":"user","content":"a"},', mib, b'{"role":"user"}]}'
        ),
        "keys by the thousand": _repeated(b'{"model":"x"', b',"a":1', mib, b"}"),
        "a long name of a model": _repeated(
            b'{"messages":[{"role":"user","content":"Hi"}],"model":"', b"m", size, b'"}'
        ),
        "an argument full of brackets": _repeated(chat + b'"[[', b"]] [[ {", mib, b'"}]}'),
    }


class Streams:
    """Answers that go on for ever, and the longest time in which one of them brought nothing.

    Keys of what is kept are a port and a number.
    """

    def __init__(self, *ports: int) -> None:
        self._ports = ports
        self._gaps = dict.fromkeys(ports, 0.0)
        self._last: dict[tuple[int, int], float] = {}

    async def __aenter__(self) -> "Streams":
        keys = [(port, number) for port in self._ports for number in range(_STREAMS)]
        self._tasks = [asyncio.create_task(self._stream(key)) for key in keys]
        async with asyncio.timeout(20):
            while len(self._last) < len(keys):
                await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def longest(self, do: Awaitable[object], seconds: float) -> list[float]:
        """Return the longest gap at each port while something is done, and until some seconds are over."""
        self._gaps = dict.fromkeys(self._ports, 0.0)
        await asyncio.gather(do, asyncio.sleep(seconds))
        now = time.perf_counter()
        for (port, _), last in self._last.items():
            self._gaps[port] = max(self._gaps[port], now - last)
        return list(self._gaps.values())

    async def _stream(self, key: tuple[int, int]) -> None:
        port = key[0]

        def watch(answer: Answer) -> bool:
            now = time.perf_counter()
            if key in self._last:
                self._gaps[port] = max(self._gaps[port], now - self._last[key])
            self._last[key] = now
            return False

        body = chat_body([{"role": "user", "content": "[[words: 10000]] [[pace: 20ms]]"}], stream=True)
        async with Client() as client:
            await client.ask(port, body, watch=watch)


@scenario("bodies")
async def bad_bodies(site: Site, sizes: Sizes, chance: Random) -> Counts:
    """Whatever one client sends, it is answered, and the streams of the others go on."""
    counts, edge, status = Counts(alone=0.0, beside=0.0), site.edges[0], 0
    left = [(name, body, path) for name, body in bodies(sizes.body_bytes).items() for path in (CHAT, RESPONSES)]
    while left:
        async with Streams(edge.port, site.cluster.simulator.address[1]) as streams:
            counts.alone = alone = counts.alone or max(await streams.longest(asyncio.sleep(0), sizes.window))
            while left:
                name, body, path = left.pop(0)
                gap, status = await _beside(streams, edge.port, path, body, alone, sizes)
                site.note("body", name=name, size=len(body), path=path, status=status, gap_ms=round(1e3 * gap))
                counts.tried += 1
                counts.survived += 0 < status < 500
                counts.beside = max(counts.beside or 0.0, gap)
                if gap > alone + GAP_ALLOWED or not 0 < status < 500:
                    counts.broken.append(f"{name}, {len(body)} bytes, {path}: status {status}, {1e3 * gap:.0f} ms")
                if not status:
                    break
        if not status:  # it hangs, and would for minutes
            await asyncio.to_thread(edge.kill)
            await asyncio.to_thread(edge.start)
            await asyncio.to_thread(edge.wait_ready)
    return counts


async def _beside(streams: Streams, port: int, path: str, body: bytes, alone: float, sizes: Sizes) -> tuple[float, int]:
    """Send a body, again where the gap was too long; return the shortest gap, and the status, 0 for no answer."""
    gaps, status = list[float](), 0
    while not gaps or (gaps[-1] > alone + GAP_ALLOWED and len(gaps) < _TRIES and status):
        sent = asyncio.create_task(asyncio.to_thread(_send, port, path, body, sizes.hang))
        through, straight = await streams.longest(sent, _LEAST_SECONDS)
        gaps.append(through - max(0.0, straight - alone))
        status = sent.result()
    return min(gaps), status


def _send(port: int, path: str, body: bytes, seconds: float) -> int:
    """Return the status of the answer, 0 where none came in time."""
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
