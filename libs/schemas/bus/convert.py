"""What the edge asks of the converter, and its replies.

Messages are MessagePack, for they carry whole JSON bodies as bytes. A reply is a tagged union: a refusal
that the client must hear is a reply, not a failure of the bus. `subjects.py` says which subject carries which.
"""

from typing import Literal

import msgspec

from libs.schemas.config import ContinuityWish
from libs.schemas.plan import Continuity, Format, MarkPlan, StreamPlan
from libs.schemas.wire.errors import ErrorBody


class Lifted(msgspec.Struct, frozen=True, kw_only=True, rename={"start": "head"}):
    """A string that stayed on the edge; `length` in bytes, `start` its first characters, none where it is a secret."""

    placeholder: str
    sha256: str
    length: int
    start: str


class ClientOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks of Parley itself; on the bus only what it says outside of its body.

    `conversation` is a name, `delta` that the messages are only what is new, `retain` false that nothing
    of the answer may be kept, `continuity` what the client wants of it, `hint` a session's name that
    groups diagnostics and decides nothing. `after` is the completion that the client of a delta saw last,
    `format` the form of the answer.

    `unchained_at` are the upstreams, each with a model there, that have lately ignored what they were to go on from;
    `unchained` says that the one that serves this request is among them.
    """

    conversation: str | None = None
    previous_response_id: str | None = None
    delta: bool = False
    retain: bool = True
    continuity: ContinuityWish | None = None
    hint: str = ""
    after: str | None = None
    unchained: bool = False
    format: Format = "chat"
    unchained_at: list[tuple[str, str]] = []


class ConvertRequest(msgspec.Struct, frozen=True, kw_only=True, rename={"client_options": "said"}):
    """A chat body to convert.

    `body` is the client's JSON with media and secrets lifted out. `accounts` gives, for each upstream, the digest
    of the credentials this call would use there. `mode="plain"` asks for no continuation, after an
    earlier try that belonged to the conversation `token`. `format` repeats that of `client_options` for a converter of
    the release before, and an edge of that release says it here alone.
    """

    plan_version: int
    body: bytes
    lifted: list[Lifted] = []
    tenant: str
    accounts: dict[str, str]
    client_options: ClientOptions = ClientOptions()
    mode: Literal["auto", "plain"] = "auto"
    token: str | None = None
    format: Format | None = None


class Converted(msgspec.Struct, frozen=True, kw_only=True, tag="converted", rename={"whole_history": "whole"}):
    """The upstream request of a chat call and how to translate its answer; `model` as sent upstream.

    `model_requested` is the client's own word for the model, before aliases. `conversation` is the name or
    token that the client gets. With `whole_history` false the request has new messages alone, and must never be
    sent without its parent. `stored` says that the upstream is to keep the answer.
    """

    upstream: str
    model: str
    model_requested: str = ""
    body: bytes
    plan: StreamPlan
    continuity: Continuity
    conversation: str = ""
    whole_history: bool = True
    previous_response_id: str | None = None
    dropped: list[str] = []
    stored: bool = False


class Native(msgspec.Struct, frozen=True, kw_only=True, tag="native"):
    """The client's own body must go to the upstream's own chat endpoint, for a model known there as `model`.

    `reason` names the field that the Responses API has nothing for. `mark` is that of a `StreamPlan`.
    """

    upstream: str
    model: str
    reason: str
    mark: MarkPlan | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """The request cannot be served as it is; `status` and `error` go to the client.

    `continuity` has the reason why a partial history is refused; the rest describes the request.
    """

    status: int
    error: ErrorBody
    continuity: Continuity | None = None
    upstream: str = ""
    model: str = ""
    conversation: str = ""


class PlanUnsupported(msgspec.Struct, frozen=True, kw_only=True, tag="plan_unsupported"):
    """This converter does not emit the plan version asked for; another may."""

    supported: int


ConvertReply = Converted | Native | Refused | PlanUnsupported
