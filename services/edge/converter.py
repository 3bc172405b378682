"""What the edge asks of the converter: what a chat body becomes."""

from typing import Literal

from libs.runtime.errors import BusError, MessageTooLarge, ReplyTooLarge
from libs.runtime.logs import Log
from libs.schemas.bus.convert import ClientOptions, Converted, ConvertRequest, Native, PlanUnsupported, Refused
from libs.schemas.plan import PLAN_VERSION
from libs.schemas.subjects import CONVERT
from libs.translate.lift import Skeleton
from services.edge.errors import ConversionRefused, Overloaded
from services.edge.http.exchange import Exchange
from services.edge.http.media import text_too_large
from services.edge.served import ServedRequest

log = Log("parley.edge")


async def convert(
    served: ServedRequest,
    skeleton: Skeleton,
    client_options: ClientOptions,
    mode: Literal["auto", "plain"] = "auto",
    token: str | None = None,
) -> Converted | Native:
    """Return the conversion of a chat body, or that the upstream must answer it natively.

    `mode` and `token` are those of `ConvertRequest`.
    Raises ConversionRefused or InvalidRequest for what the client must hear, Overloaded when nobody converts.
    """
    edge = served.edge
    asked = ConvertRequest(
        plan_version=PLAN_VERSION,
        body=skeleton.body,
        lifted=skeleton.lifted,
        tenant=served.tenant,
        accounts=served.accounts(),
        client_options=client_options,
        mode=mode,
        token=token,
        format=client_options.format,
    )
    try:
        reply = await edge.bus.call(CONVERT, asked, served.bus_call(seconds=_patience(served.exchange)))
    except (MessageTooLarge, ReplyTooLarge):  # as it came, or once it is converted
        raise text_too_large(edge.bus.message_limit()) from None
    except BusError as error:
        log.warning("convert_failed", request_id=served.request_id, error=type(error).__name__)
        raise Overloaded from None
    if isinstance(reply, Refused):
        raise ConversionRefused(reply)
    if isinstance(reply, PlanUnsupported):
        log.error("plan_unsupported", ours=PLAN_VERSION, theirs=reply.supported)
        raise Overloaded
    return reply


def _patience(exchange: Exchange) -> float | None:
    """How many seconds the client still waits: a conversion is not worth more."""
    if exchange.patience_seconds is None:
        return None
    return exchange.patience_seconds - exchange.milliseconds() / 1000
