"""A request being served: who asks, and what goes with what is asked in its name."""

import time
from typing import Any

import pytest

from libs.translate.errors import InvalidRequest
from services.edge.served import ServedRequest, identify
from services.edge.tenants import Caller
from tests.unit.services.edge.fakes import CALLER, UPSTREAMS, Client, Stage


async def test_caller_is_identified_and_one_without_a_key_is_refused() -> None:
    stage = Stage({})
    served = identify(stage.edge, Client("POST", "/", openai_project="p").exchange())
    assert (served.caller.bearer, served.caller.scoping) == ("sk-1", {"openai-project": "p"})
    assert served.tenant == served.caller.tenant
    with pytest.raises(InvalidRequest) as refused:
        identify(stage.edge, Client("POST", "/", authorization="").exchange())
    assert refused.value.status == 401


@pytest.mark.parametrize(("seconds", "bounded"), [(None, False), (7.0, True)])
async def test_bus_request_carries_whose_it_is_and_of_which_trace(seconds: float | None, bounded: bool) -> None:
    served = Stage({}).served()
    call = served.bus_call(seconds=seconds)
    assert (call.tenant, call.request_id) == (CALLER.tenant, served.exchange.request_id)
    assert call.traceparent == served.exchange.traceparent != ""
    now = time.monotonic()
    assert (call.deadline is not None and now + 6 < call.deadline <= now + 7) if bounded else call.deadline is None


async def test_options_are_those_of_the_configuration_the_tenant_and_the_upstreams() -> None:
    stage = Stage({})
    edge: Any = stage.edge
    served = ServedRequest(edge, Client("POST", "/", x_parley_conversation="c").exchange(), CALLER)
    asked = served.options().client_options
    assert (asked.conversation, asked.retain, asked.unchained_at) == ("c", True, [])
    edge.unchained.note(("one", served.accounts()["one"], "m"))
    assert served.options().client_options.unchained_at == [("one", "m")]
    silent = ServedRequest(edge, served.exchange, Caller(CALLER.tenant, "sk-1", {}, retain=False))
    assert not silent.options().client_options.retain


async def test_credentials_are_those_of_its_caller() -> None:
    assert Stage({}).served().auth_headers(UPSTREAMS[0]) == {"authorization": "Bearer sk-1"}
