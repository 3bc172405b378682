"""How many events a second one simulator sends: unpaced on one stream, and paced on many at once.

`python -m tests.bench.simulator_events`; the client is as cheap as a client can be, in this process, and counts frames.
"""

import asyncio
import json
import resource
import time

from tests.support.simulator import Simulator, started_simulator

_WORDS = 2000
_PACED_WORDS = 200
_PACE_SECONDS = 0.02


async def _frames(simulator: Simulator, text: str) -> int:
    """The frames of one streamed answer."""
    reader, writer = await asyncio.open_connection(*simulator.address, limit=1 << 20)
    body = json.dumps({"model": "gpt-4o", "input": text, "stream": True, "store": False}).encode()
    head = f"POST /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\ncontent-length: {len(body)}\r\n"
    writer.write(f"{head}connection: close\r\n\r\n".encode() + body)
    count = 0
    while data := await reader.read(1 << 18):
        count += data.count(b"\nevent: ") + data.startswith(b"event: ")
    writer.close()
    return count


async def _measure(simulator: Simulator, streams: int, text: str) -> tuple[int, float]:
    started = time.perf_counter()
    counts = await asyncio.gather(*(_frames(simulator, text) for _ in range(streams)))
    return sum(counts), time.perf_counter() - started


def main() -> None:
    with started_simulator() as simulator:
        for name, streams, text in (
            ("one stream, unpaced", 1, f"[[words: {_WORDS}]]"),
            ("100 streams, unpaced", 100, f"[[words: {_WORDS}]]"),
            ("900 streams, paced", 900, f"[[words: {_PACED_WORDS}]] [[pace: {_PACE_SECONDS}]]"),
            ("600 streams, paced", 600, f"[[words: {_PACED_WORDS}]] [[pace: {_PACE_SECONDS}]]"),
        ):
            count, seconds = asyncio.run(_measure(simulator, streams, text))
            ideal = streams / _PACE_SECONDS if "paced" in name and "unpaced" not in name else 0
            wanted = f", {ideal:,.0f} asked for" if ideal else ""
            print(f"{name}: {count:,} events in {seconds:.2f} s = {count / seconds:,.0f} a second{wanted}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"the simulator's CPU time: {used.ru_utime + used.ru_stime:.1f} s")


if __name__ == "__main__":
    main()
