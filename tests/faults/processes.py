"""Each process is killed and frozen while calls of all forms run over both edges."""

import asyncio
from random import Random

from tests.faults.counts import Counts
from tests.faults.load import Load, Promise
from tests.faults.registry import scenario
from tests.faults.site import How, Site
from tests.faults.sizes import Sizes

_HOWS: tuple[How, How] = ("kill", "freeze")


@scenario("converter")
async def converter(site: Site, sizes: Sizes, chance: Random) -> Counts:
    """Without the only converter chat calls are refused at once; answers under way and other calls go on."""
    return await _struck(site, sizes, chance, "converter", Promise(refuses=True))


@scenario("state")
async def state(site: Site, sizes: Sizes, chance: Random) -> Counts:
    """Without the state service every request that shows its history is answered."""
    return await _struck(site, sizes, chance, "state", Promise(forgets=True))


@scenario("analytics")
async def analytics(site: Site, sizes: Sizes, chance: Random) -> Counts:
    """Nobody notices but the tables, and they only later."""
    return await _struck(site, sizes, chance, "analytics", Promise())


@scenario("nats")
async def nats(site: Site, sizes: Sizes, chance: Random) -> Counts:
    """Without the bus chat calls are refused; answers under way and other calls go on."""
    return await _struck(site, sizes, chance, "nats", Promise(refuses=True, forgets=True))


@scenario("edge")
async def edge(site: Site, sizes: Sizes, chance: Random) -> Counts:
    """The connections of a killed edge break, its calls are recorded as lost; a frozen one goes on where it stood."""
    return await _struck(site, sizes, chance, "edge", Promise(breaks=True))


@scenario("empty-nats")
async def empty_nats(site: Site, sizes: Sizes, chance: Random) -> Counts:
    """The bus comes back without any of its data: streams and buckets are made anew, no later record is missed."""
    counts = Counts()
    async with Load(site, sizes, chance, Promise()) as before:
        await asyncio.sleep(sizes.window)
    await before.count(counts)  # what the tables do not have yet would be lost with the stream
    await _strike(site, sizes, chance, "nats", "empty", counts)
    async with Load(site, sizes, chance, Promise()) as after:
        await asyncio.sleep(sizes.window)
    await after.count(counts)
    return counts


async def _struck(site: Site, sizes: Sizes, chance: Random, name: str, promise: Promise) -> Counts:
    counts = Counts()
    async with Load(site, sizes, chance, promise) as load:
        for number in range(sizes.strikes):
            await asyncio.sleep(chance.uniform(0.3, 1.0))
            await _strike(site, sizes, chance, name, _HOWS[number % 2], counts)
    await load.count(counts)
    return counts


async def _strike(site: Site, sizes: Sizes, chance: Random, name: str, how: How, counts: Counts) -> None:
    await site.strike(site.victim(name, chance), how, chance.uniform(0.1, sizes.strike_seconds))
    counts.tried += 1
    counts.survived += await site.serving()
