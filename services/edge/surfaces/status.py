"""/healthz, /readyz, /metrics and /status of the edge."""

import asyncio
import time
from typing import Any

import msgspec

from libs.runtime import metrics
from libs.runtime.call import BusContext
from libs.runtime.errors import BusError
from libs.runtime.health import Readiness
from libs.runtime.version import VERSION
from libs.schemas.bus.convert import ConvertRequest
from libs.schemas.bus.state import StateStatus
from libs.schemas.plan import PLAN_VERSION
from libs.schemas.subjects import CONVERT, MAX_MESSAGE_BYTES
from services.edge import listening, state
from services.edge.edge import Edge
from services.edge.http.exchange import Exchange

STATE_SECONDS = 1.0  # how long an answer of the state service is good for
_TEXT = {"content-type": "text/plain"}
_ENCODER = msgspec.json.Encoder()


class Status:
    """Reports whether and how this edge works."""

    def __init__(self, edge: Edge, readiness: Readiness) -> None:
        self._edge = edge
        self._readiness = readiness
        self._state: dict[str, Any] = {}
        self._state_until = 0.0
        readiness.add("nats", edge.bus.alive)
        readiness.add("converter", self._converter)

    async def _converter(self) -> bool:
        """Whether a converter answers: version 0 is no plan version, so nothing is converted."""
        ask = ConvertRequest(plan_version=0, body=b"", tenant="", accounts={})
        try:
            await self._edge.bus.call(CONVERT, ask, BusContext())
        except BusError:
            return False
        return True

    async def healthz(self, exchange: Exchange) -> None:
        """The process runs."""
        await exchange.send(200, b"ok\n", _TEXT)

    async def readyz(self, exchange: Exchange) -> None:
        """The process can serve chat calls."""
        ready, checks = await self._readiness.report()
        await exchange.send(200 if ready else 503, _ENCODER.encode(checks))

    async def metrics(self, exchange: Exchange) -> None:
        """All metrics, for Prometheus."""
        await exchange.send(200, metrics.render(), {"content-type": metrics.CONTENT_TYPE})

    async def status(self, exchange: Exchange) -> None:
        """Limits and parts of this deployment; no secret, and nothing of any tenant."""
        config = self._edge.config
        (ready, checks), kept = await asyncio.gather(self._readiness.report(), self._state_report())
        report = {
            "version": VERSION,
            "ready": ready,
            "checks": checks,
            "plan_version": PLAN_VERSION,
            "live_streams": len(self._edge.streams),
            "limits": {
                "max_body_bytes": config.edge.max_body_bytes,
                "max_text_bytes": min(MAX_MESSAGE_BYTES, self._edge.bus.message_limit()),
                "idle_timeout_seconds": config.edge.idle_timeout_seconds,
                "first_byte_timeout_seconds": config.edge.first_byte_timeout_seconds,
                "grace_seconds": config.edge.grace_seconds,
            },
            "door": listening.report(config),
            "state": kept,
            "upstreams": [
                {
                    "name": up.name,
                    "api": up.api,
                    "models": up.models,
                    "aliases": up.aliases,
                    "continuity": up.continuity,
                }
                for up in config.upstream
            ],
        }
        await exchange.send(200, _ENCODER.encode(report))

    async def _state_report(self) -> dict[str, Any]:
        """How the state service is; asked at most once a second, however often /status is."""
        if time.monotonic() >= self._state_until:
            status = await state.status(self._edge)
            self._state = {"available": False} if status is None else _shown(status)
            self._state_until = time.monotonic() + STATE_SECONDS
        return self._state


def _shown(status: StateStatus) -> dict[str, Any]:
    asked = status.hits + status.misses
    return {"available": True, **msgspec.structs.asdict(status), "hit_rate": status.hits / asked if asked else None}
