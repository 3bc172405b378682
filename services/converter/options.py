"""What one request asks of Parley, and of which upstream: the first step of a conversion."""

import msgspec

from libs.schemas.bus import ConvertRequest, Said
from libs.schemas.chat import ChatRequest
from libs.schemas.plan import Format
from libs.translate import fingerprint, naming
from libs.translate.continuity import Wish
from libs.translate.naming import Named
from libs.translate.request import wanted_format
from libs.translate.routing import Route


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """A request with what it asks for; `chat` holds those of its names that go upstream.

    `account` and `owner` are digests: of the credentials at the upstream, and of whose the conversation is. With
    `off` the request is not continued, and with `retain` false nothing of its answer is kept.
    """

    request: ConvertRequest
    chat: ChatRequest
    named: Named
    way: Route
    format: Format
    retain: bool
    off: bool
    wish: Wish
    account: str
    owner: str

    @property
    def keeps(self) -> bool:
        """Whether the answer may be kept, so that a later request can continue it."""
        return self.retain and not self.off


def read(request: ConvertRequest, chat: ChatRequest, way: Route) -> Options:
    """Return what a request asks for. Raises InvalidRequest for names that exclude each other."""
    said, body, policy = request.said, chat.parley, way.upstream.continuity
    chat, named = naming.name(chat, said)
    account = request.accounts.get(way.upstream.name, "")
    return Options(
        request=request,
        chat=chat,
        named=named,
        way=way,
        format=wanted_format(chat, request.format),
        retain=said.retain and (body is None or body.retain != "none"),
        off=policy == "off" or said.continuity == "off",
        wish="chain" if _wants_chain(said, policy, named) else "replay",
        account=account,
        owner=fingerprint.scope(request.tenant, account, chat.safety_identifier or chat.user or ""),
    )


def _wants_chain(said: Said, policy: str, named: Named) -> bool:
    """The client's word counts before the configuration's, by default a name that it chose asks for it."""
    if said.continuity is None or (said.unchained and said.continuity == "replay"):  # which the edge says then
        return policy == "chain" or (policy == "auto" and named.by_client)
    return said.continuity == "chain"
