"""What waits: time to the first token, a convert by the length of its history, a stream beside an upload."""

import asyncio
import time
from statistics import median

from libs.runtime.bus import Bus
from libs.runtime.call import BusContext
from libs.schemas.bus.convert import Converted, ConvertRequest
from libs.schemas.config import Nats
from libs.schemas.plan import PLAN_VERSION
from libs.schemas.subjects import CONVERT
from tests.bench.jobs import Called, Calls, FirstToken, Held, Hold
from tests.bench.measures import Results, percentile
from tests.bench.processes import CpuMeter
from tests.bench.requests import ENDLESS, JSON, STREAM, Model, Request, history_body
from tests.bench.site import Load, Site, run, targets
from tests.bench.sizes import Sizes

_LEAD_SECONDS = 1.5  # a generator needs to start and to connect


def first_token(site: Site, sizes: Sizes, results: Results) -> None:
    """Time to the first token of a streamed call, in turns with the same call straight to the upstream."""
    model = Model(STREAM, 2)
    direct = (site.upstream, Request(surface="responses", model=model))
    through = {
        name: (port, Request(surface=surface, model=model)) for name, (port, surface, _) in targets(site).items()
    }
    beside = Hold(
        port=site.edge,
        request=Request(surface="chat", model=Model(STREAM, ENDLESS, sizes.pace_ms)),
        streams=sizes.streams,
        settle_seconds=0.0,
        seconds=_LEAD_SECONDS + sizes.first_token_calls * 0.02,
    )
    for _ in range(sizes.rounds):
        for load in (None, beside):
            holding = Load(load) if load is not None else None
            time.sleep(_LEAD_SECONDS if holding is not None else 0)
            job = FirstToken(targets=[direct, *through.values()], calls=sizes.first_token_calls)
            base, *others = run(job, list[list[float]])
            if holding is not None:
                holding.result(Held)
            where = "" if holding is None else f", {sizes.streams} streams beside"
            for share in (0.5, 0.99):
                at = f"p{100 * share:.0f}{where}"
                results.add("time to first token", f"upstream itself, {at}", "ms", 1e3 * percentile(base, share))
                for name, taken in zip(through, others, strict=True):
                    added = percentile(taken, share) - percentile(base, share)
                    results.add("time to first token", f"added by {name}, {at}", "ms", 1e3 * added)


def history(site: Site, sizes: Sizes, results: Results) -> None:
    """A convert through the bus, one at a time: wall time here, CPU of the converter there."""
    asyncio.run(_history(site, sizes, results))


async def _history(site: Site, sizes: Sizes, results: Results) -> None:
    bodies = {f"{n} message{'s' if n > 1 else ''}": history_body(n) for n in sizes.histories}
    bodies["5 tool calls"] = history_body(0, tool_calls=5)
    bus = await Bus.connect(Nats(url=site.cluster.nats.url), "bench")
    for _ in range(sizes.rounds):
        for name, body in bodies.items():
            asked = ConvertRequest(plan_version=PLAN_VERSION, body=body, tenant="bench", accounts={})
            meter, taken = CpuMeter(site.pids_of("converter")), []
            for _ in range(sizes.history_calls):
                started = time.perf_counter()
                reply = await bus.call(CONVERT, asked, BusContext(tenant="bench", request_id="req_bench"))
                taken.append(time.perf_counter() - started)
                assert isinstance(reply, Converted), reply
            cpu = meter.seconds()["converter"] / sizes.history_calls
            label = f"{name} ({len(body) / 1024:.0f} KiB)"
            results.add("convert", f"{label}: wall p50", "us", 1e6 * median(taken))
            results.add("convert", f"{label}: converter", "us", 1e6 * cpu)
    await bus.drain(1.0)


def upload(site: Site, sizes: Sizes, results: Results) -> None:
    """A large image: what it costs, and how long a stream beside it waits.

    A control sends the same upload past Parley: what that shows is the machine's and the upstream's.
    """
    image = Request(surface="chat", model=Model(JSON), image_bytes=sizes.image_bytes)
    past = Request(surface="responses", model=Model(JSON), image_bytes=sizes.image_bytes)
    size = f"{sizes.image_bytes / 2**20:.3g} MiB"
    ways: dict[str, tuple[int, Request] | None] = {
        "no upload": None,
        f"{size} past Parley": (site.upstream, past),
        f"{size} through Parley": (site.edge, image),
    }
    for _ in range(sizes.rounds):
        for name, sent in ways.items():
            gap, called = _beside(site, sizes, sent)
            results.add("upload", f"longest gap of a stream, {name}", "ms", 1e3 * gap)
            if called is not None:
                results.add("upload", f"{name}: edge", "ms", 1e3 * called.cpu["edge"] / sizes.uploads)
                results.add("upload", f"{name}: wall", "ms", 1e3 * called.seconds / sizes.uploads)


def _beside(site: Site, sizes: Sizes, sent: tuple[int, Request] | None) -> tuple[float, Called | None]:
    """Return the longest gap of a stream while the uploads run, and what those cost."""
    begin = time.monotonic() + _LEAD_SECONDS
    watching = Load(
        Hold(
            port=site.edge,
            request=Request(surface="chat", model=Model(STREAM, ENDLESS, sizes.pace_ms)),
            streams=1,
            settle_seconds=0.0,
            seconds=sizes.upload_window_seconds,
            begin_at=begin,
        )
    )
    called: Called | None = None
    if sent is not None:
        port, request = sent
        pids = dict(site.pids_of("edge"))
        job = Calls(port=port, request=request, calls=sizes.uploads, concurrency=1, pids=pids, begin_at=begin + 0.1)
        called = run(job, Called)
    held: Held = watching.result(Held)
    return held.longest_gap, called
