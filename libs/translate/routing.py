"""Which upstream serves a model, under which name, and whether chat calls are translated there."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from libs.schemas.config import Bridge, Upstream
from libs.translate.errors import InvalidRequest


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """`model` is the upstream's name for what the client asked for."""

    upstream: Upstream
    model: str
    bridge: Bridge


def route(upstreams: Sequence[Upstream], model: str) -> Route:
    """Return the first upstream that serves `model`. Raises InvalidRequest (404) when none does."""
    for upstream in upstreams:
        if model in upstream.aliases:
            return _route(upstream, upstream.aliases[model])
        if any(fnmatchcase(model, pattern) for pattern in upstream.models):
            return _route(upstream, model)
    raise InvalidRequest(
        f"The model '{model}' does not exist or no upstream serves it.", "model", "model_not_found", status=404
    )


def _route(upstream: Upstream, model: str) -> Route:
    # An upstream without the Responses API serves chat calls as they are.
    bridge: Bridge = "bypass" if upstream.api == "chat" else "translate"
    for rule in upstream.model_rules:
        if fnmatchcase(model, rule.match):
            bridge = rule.bridge
            break
    return Route(upstream=upstream, model=model, bridge=bridge)
