"""What the converter is asked, and what becomes of each way in which it does not convert."""

import time
from typing import Any

import pytest

from libs.runtime.errors import BusError, CallTimeout, MessageTooLarge, ReplyTooLarge
from libs.schemas.bus.convert import ClientOptions, Converted, ConvertRequest, Native, PlanUnsupported, Refused
from libs.schemas.plan import PLAN_VERSION, Continuity, StreamPlan
from libs.schemas.subjects import CONVERT
from libs.schemas.wire.errors import ErrorBody
from libs.translate.errors import TranslationError
from libs.translate.lift import Skeleton
from services.edge.converter import convert
from services.edge.errors import ConversionRefused, Overloaded
from tests.unit.services.edge.fakes import CALLER, Client, Stage

BONES = Skeleton(body=b"{}", nonce="n", lifted=[], values=[])
CONVERTED = Converted(
    upstream="one", model="m", body=b"{}", plan=StreamPlan(stream=False), continuity=Continuity(reason="first")
)
NATIVE = Native(upstream="one", model="m", reason="audio")


class Bus:
    """Notes with what a request travels, and answers or fails."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome
        self.calls: list[Any] = []

    async def call(self, subject: Any, request: Any, call: Any) -> Any:
        self.calls.append((subject.name, request, call))
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def message_limit(self) -> int:
        return 1000


async def ask(outcome: Any, **headers: Any) -> tuple[Any, Bus]:
    stage, bus = Stage({}), Bus(outcome)
    stage.bus.call = bus.call  # type: ignore[method-assign]
    stage.bus.message_limit = bus.message_limit  # type: ignore[attr-defined]
    served = stage.served(Client("POST", "/", **headers).exchange())
    return await convert(served, BONES, ClientOptions(format="responses"), mode="plain", token="pc_1"), bus


@pytest.mark.parametrize("reply", [CONVERTED, NATIVE])
async def test_reply_is_returned_and_the_request_says_who_asks(reply: Any) -> None:
    got, bus = await ask(reply)
    assert got is reply
    [(name, request, call)] = bus.calls
    assert name == CONVERT.name
    assert request == ConvertRequest(
        plan_version=PLAN_VERSION,
        body=BONES.body,
        lifted=BONES.lifted,
        tenant=CALLER.tenant,
        accounts=request.accounts,
        client_options=ClientOptions(format="responses"),
        mode="plain",
        token="pc_1",
        format="responses",
    )
    assert list(request.accounts) == ["one"]
    assert (call.tenant, call.deadline) == (CALLER.tenant, None)


async def test_conversion_is_worth_no_more_than_the_client_waits() -> None:
    _, bus = await ask(CONVERTED, x_stainless_read_timeout="20")
    assert 18 < bus.calls[0][2].deadline - time.monotonic() <= 20


REFUSED = Refused(status=404, error=ErrorBody(message="No.", param="model", code="model_not_found"))


@pytest.mark.parametrize(
    ("outcome", "error", "status"),
    [
        (REFUSED, ConversionRefused, 404),
        (PlanUnsupported(supported=1), Overloaded, 503),
        (CallTimeout("late"), Overloaded, 503),
        (BusError("gone"), Overloaded, 503),
        (MessageTooLarge(2000, 1000), TranslationError, 413),
        (ReplyTooLarge("large"), TranslationError, 413),
    ],
)
async def test_what_is_not_converted_is_refused_with_its_reason(
    outcome: Any, error: type[TranslationError], status: int
) -> None:
    with pytest.raises(error) as caught:
        await ask(outcome)
    assert caught.value.status == status
