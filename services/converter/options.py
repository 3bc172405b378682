"""What one request asks of Parley, and of which upstream: the first step of a conversion."""

import msgspec

from libs.schemas.bus.convert import ConvertRequest, Said
from libs.schemas.wire.chat import ChatRequest
from libs.translate.continuity import fingerprint
from libs.translate.continuity.deciding import Wish
from libs.translate.request import named_conversation
from libs.translate.request.named_conversation import Named
from libs.translate.request.options import merged
from libs.translate.request.routing import Route


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """A request with all that it asks for; `chat` holds those of its names that go upstream.

    `owner` is the digest of whose the conversation is. With `off` the request is not continued.
    """

    request: ConvertRequest
    chat: ChatRequest
    said: Said
    named: Named
    way: Route
    off: bool
    wish: Wish
    owner: str

    @property
    def keeps(self) -> bool:
        """Whether the answer may be kept, so that a later request can continue it."""
        return self.said.retain and not self.off


def read(request: ConvertRequest, chat: ChatRequest, way: Route) -> Options:
    """Return what a request asks for. Raises InvalidRequest for names that exclude each other."""
    policy = way.upstream.continuity
    said = merged(_received(request, way), chat.parley)
    chat, named = named_conversation.name(chat, said)
    account = request.accounts.get(way.upstream.name, "")
    return Options(
        request=request,
        chat=chat,
        said=said,
        named=named,
        way=way,
        off=policy == "off" or said.continuity == "off",
        wish="chain" if _wants_chain(said, policy, named) else "replay",
        owner=fingerprint.scope(request.tenant, account, chat.safety_identifier or chat.user or ""),
    )


def _received(request: ConvertRequest, way: Route) -> Said:
    """Return what the edge says, be it of this release or of the one before."""
    said = request.said
    return msgspec.structs.replace(
        said,
        format=request.format or said.format,
        unchained=said.unchained or (way.upstream.name, way.model) in said.unchained_at,
    )


def _wants_chain(said: Said, policy: str, named: Named) -> bool:
    """The client's word counts before the configuration's, by default a name that it chose asks for it."""
    # Where the upstream does not chain, `replay` may be the word of an edge of the release before.
    if said.continuity is None or (said.unchained and said.continuity == "replay"):
        return policy == "chain" or (policy == "auto" and named.by_client)
    return said.continuity == "chain"
