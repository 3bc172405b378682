"""What work costs: CPU of streamed events and of calls, memory of open streams.

Within a round the targets take turns, so that a machine that slows down slows all of them.
"""

import time

from deploy.local.nats_server import free_port
from tests.bench.jobs import Called, Calls, Held, Hold, Pile
from tests.bench.measures import Results
from tests.bench.processes import CpuMeter
from tests.bench.requests import ENDLESS, JSON, STALL, STREAM, Model, Request
from tests.bench.site import Site, run, targets
from tests.bench.sizes import Sizes

_SERVICES = ("edge", "converter", "state", "analytics", "nats-server")


def streamed_events(site: Site, sizes: Sizes, results: Results) -> None:
    """CPU per event in the middle of paced streams, where no call begins or ends."""
    model = Model(STREAM, ENDLESS, sizes.pace_ms)
    for _ in range(sizes.rounds):
        cost = {}
        for name, (port, surface, process) in targets(site).items():
            pids = site.pids if name == "chat" else site.pids_of(process)
            job = Hold(
                port=port,
                request=Request(surface=surface, model=model),
                streams=sizes.streams,
                settle_seconds=sizes.settle_seconds,
                seconds=sizes.window_seconds,
                pids=dict(pids),
            )
            held: Held = run(job, Held)
            cost[name] = held.cpu[process] / held.events
            label = name if name == process else f"{name}: {process}"
            results.add("streamed event", label, "us", 1e6 * cost[name])
            if name == "chat":
                results.add("streamed event", "chat: events per network read", "events", held.events / held.reads)
                for other in _SERVICES[1:]:
                    results.add("streamed event", f"chat: {other}", "us", 1e6 * held.cpu[other] / held.events)
        _add_ratios(results, "streamed event", cost)


def _add_ratios(results: Results, section: str, cost: dict[str, float]) -> None:
    for name in cost.keys() - {"nginx"} if "nginx" in cost else ():
        results.add(section, f"{name} / nginx", "ratio", cost[name] / cost["nginx"])


def calls(site: Site, sizes: Sizes, results: Results) -> None:
    """CPU per call of every process, records and commits included, idle time taken off."""
    json, short = Model(JSON), Model(STREAM)
    kinds: dict[str, tuple[int, Request, tuple[str, ...]]] = {
        "chat, JSON": (site.edge, Request(surface="chat", model=json), _SERVICES),
        "chat, streamed, 1 delta": (site.edge, Request(surface="chat", model=short), _SERVICES),
        "chat, JSON, named": (site.edge, Request(surface="chat", model=json, conversation="bench"), _SERVICES),
        "/v1/responses, JSON": (site.edge, Request(surface="responses", model=json), _SERVICES),
    }
    if site.nginx:
        kinds["nginx, JSON"] = (site.nginx, Request(surface="responses", model=json), ("nginx",))
    idle = _idle(site, sizes)
    for _ in range(sizes.rounds):
        for name, (port, request, processes) in kinds.items():
            job = Calls(
                port=port,
                request=request,
                calls=sizes.calls,
                concurrency=sizes.concurrency,
                settle_seconds=sizes.records_seconds,
                pids=dict(site.pids_of(*processes)),
            )
            called: Called = run(job, Called)
            for process in processes:
                seconds = called.cpu[process] - idle[process] * called.seconds
                label = name if process == "nginx" else f"{name}: {process}"
                results.add("call", label, "us", 1e6 * seconds / sizes.calls)


def _idle(site: Site, sizes: Sizes) -> dict[str, float]:
    """Return the CPU seconds that each process uses in a second without work."""
    time.sleep(sizes.records_seconds)
    meter, started = CpuMeter(site.pids), time.monotonic()
    time.sleep(sizes.records_seconds)
    passed = time.monotonic() - started
    return {name: seconds / passed for name, seconds in meter.seconds().items()}


def memory(site: Site, sizes: Sizes, results: Results) -> None:
    """Resident memory that each open stream takes while nothing comes; rounds pile up.

    Each surface has an edge of its own, whose memory nobody used before.
    """
    for name, (port, surface, process) in targets(site).items():
        pid = site.pids[process]
        edge = None
        if process == "edge":
            edge = site.cluster.another("edge", {"PARLEY_PORT": str(free_port())})
            edge.start()
            port, pid = edge.port, edge.process.pid
        job = Pile(
            port=port,
            request=Request(surface=surface, model=Model(STALL)),
            streams=sizes.piled_streams,
            times=sizes.rounds,
            settle_seconds=sizes.settle_seconds,
            pid=pid,
        )
        levels = run(job, list[int])
        for before, after in zip(levels, levels[1:], strict=False):
            results.add("memory per open stream", name, "KiB", (after - before) / sizes.piled_streams / 1024)
        if edge is not None:
            edge.stop()
