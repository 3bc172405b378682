"""Which upstream serves a model, under which name, and whether chat calls are translated there."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from libs.schemas.config import Bridge, ModelRule, Upstream
from libs.translate.errors import InvalidRequest
from libs.translate.request.models import is_chat_only

MATCHED_CHARACTERS = 512  # of a name, by which it is routed; no model has a longer one


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """`model` is the upstream's name for what the client asked for; `upstream` is as its rule for that model says."""

    upstream: Upstream
    model: str
    bridge: Bridge


def route(upstreams: Sequence[Upstream], model: str) -> Route:
    """Return the first upstream that serves `model`. Raises InvalidRequest (404) when none does."""
    for upstream in upstreams:
        if model in upstream.aliases:
            return _route(upstream, upstream.aliases[model])
        if any(_matches(model, pattern) for pattern in upstream.models):
            return _route(upstream, model)
    raise InvalidRequest(
        f"The model '{model}' does not exist or no upstream serves it.", "model", "model_not_found", status=404
    )


def bypassed(upstreams: Sequence[Upstream], model: str) -> Route | None:
    """Return where the chat calls of `model` go untranslated; None where they are translated, or served nowhere."""
    try:
        way = route(upstreams, model)
    except InvalidRequest:
        return None
    return way if way.bridge == "bypass" else None


def _route(upstream: Upstream, model: str) -> Route:
    rule = next((rule for rule in upstream.model_rules if _matches(model, rule.match)), None)
    return Route(upstream=_for_model(upstream, rule), model=model, bridge=_bridge(upstream, model, rule))


def _bridge(upstream: Upstream, model: str, rule: ModelRule | None) -> Bridge:
    """Return the rule's word, else what the upstream or the model can do: some answer chat calls alone."""
    if rule is not None and rule.bridge is not None:
        return rule.bridge
    chat_only = upstream.api == "both" and is_chat_only(model[:MATCHED_CHARACTERS])
    return "bypass" if upstream.api == "chat" or chat_only else "translate"


def _for_model(upstream: Upstream, rule: ModelRule | None) -> Upstream:
    """Return the upstream with what a rule says otherwise for its models."""
    if rule is None or (rule.json_object is None and rule.tools is None):
        return upstream
    return msgspec.structs.replace(
        upstream,
        json_object=upstream.json_object if rule.json_object is None else rule.json_object,
        tools=upstream.tools if rule.tools is None else rule.tools,
    )


def _matches(model: str, pattern: str) -> bool:
    """Whether a glob fits; over a name of megabytes it would hold up all streams."""
    return fnmatchcase(model[:MATCHED_CHARACTERS], pattern)
