"""Converts a chat body into an upstream request and the plan for its answer, step by step.

The only question it asks is the state service's: which answers of this history are known? A miss is never an error.
"""

import time

from libs.runtime import metrics
from libs.runtime.call import BusContext
from libs.runtime.logs import Log
from libs.schemas.bus.convert import ConvertReply, ConvertRequest, PlanUnsupported, Refused
from libs.schemas.config import Config
from libs.schemas.plan import PLAN_VERSION, Continuity
from libs.translate.continuity import deciding
from libs.translate.errors import NeedsNative, TranslationError
from libs.translate.request import translating
from libs.translate.request.routing import route
from services.converter import options, plan
from services.converter.decide import Discontinued, Resolve, decide
from services.converter.recognise import Prepared, recognise
from services.converter.translate import translate

log = Log("parley.converter")


class Converter:
    """Handles CONVERT; `resolve` asks the state service."""

    def __init__(self, config: Config, resolve: Resolve) -> None:
        self._config = config
        self._resolve = resolve

    async def convert(self, asked: ConvertRequest, context: BusContext) -> ConvertReply:
        """Return the conversion, or the refusal that the client must hear."""
        if asked.plan_version != PLAN_VERSION:
            return PlanUnsupported(supported=PLAN_VERSION)
        try:
            return await self._convert(asked, context)
        except TranslationError as refused:
            return Refused(status=refused.status, error=refused.error)

    async def _convert(self, asked: ConvertRequest, context: BusContext) -> ConvertReply:
        """Take the five steps. Raises TranslationError."""
        parsed = translating.parse(asked.body)
        chosen = options.read(asked, parsed.chat, route(self._config.upstream, parsed.chat.model))
        if chosen.way.bridge == "bypass":
            return plan.native(chosen, "model")
        try:
            translated = translate(parsed, chosen)
        except NeedsNative as native:
            return plan.native(chosen, native.reason)
        prepared = recognise(chosen, translated, now=int(time.time()))
        try:
            decided = await decide(prepared, self._resolve, self._config.conversation.replay_bytes, context)
        except Discontinued as refused:
            if refused.continuity.reason != deciding.BUSY:  # which the edge reports, after it has waited
                _report(prepared, refused.continuity, context)
            return plan.refused(chosen, refused)
        converted = plan.converted(prepared, decided, context)
        _report(prepared, converted.continuity, context)
        return converted


def _report(prepared: Prepared, decided: Continuity, context: BusContext) -> None:
    metrics.CONTINUITY.labels(decided.mode, decided.reason).inc()
    log.info(
        "handoff",
        request_id=context.request_id,
        mode=decided.mode,
        reason=decided.reason,
        matched=decided.matched,
        answers=len(prepared.asked.history.turns),
        new_items=decided.new_items,
        messages=len(prepared.options.chat.messages),
    )
