"""What one request asks of Parley, and of which upstream: the first step of a conversion."""

import msgspec

from libs.schemas.bus.convert import ClientOptions, ConvertRequest
from libs.schemas.wire.chat import ChatRequest
from libs.translate.continuity import fingerprint
from libs.translate.continuity.deciding import Wish
from libs.translate.request import named_conversation
from libs.translate.request.named_conversation import Named
from libs.translate.request.options import merged
from libs.translate.request.routing import Route


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """A request with all that it asks for; `chat` holds those of its names that go upstream.

    `scope` is the digest of whose the conversation is. With `off` the request is not continued.
    """

    request: ConvertRequest
    chat: ChatRequest
    client_options: ClientOptions
    named: Named
    way: Route
    off: bool
    wish: Wish
    scope: str

    @property
    def keeps(self) -> bool:
        """Whether the answer may be kept, so that a later request can continue it."""
        return self.client_options.retain and not self.off


def read(request: ConvertRequest, chat: ChatRequest, way: Route) -> Options:
    """Return what a request asks for. Raises InvalidRequest for names that exclude each other."""
    policy = way.upstream.continuity
    client_options = merged(_received(request, way), chat.parley)
    chat, named = named_conversation.name(chat, client_options)
    account = request.accounts.get(way.upstream.name, "")
    return Options(
        request=request,
        chat=chat,
        client_options=client_options,
        named=named,
        way=way,
        off=policy == "off" or client_options.continuity == "off",
        wish="chain" if _wants_chain(client_options, policy, named) else "replay",
        scope=fingerprint.scope_digest(request.tenant, account, chat.safety_identifier or chat.user or ""),
    )


def _received(request: ConvertRequest, way: Route) -> ClientOptions:
    """Return what the edge says, be it of this release or of the one before."""
    client_options = request.client_options
    return msgspec.structs.replace(
        client_options,
        format=request.format or client_options.format,
        unchained=client_options.unchained or (way.upstream.name, way.model) in client_options.unchained_at,
    )


def _wants_chain(client_options: ClientOptions, policy: str, named: Named) -> bool:
    """The client decides before the configuration; by default a name that the client chose asks for chaining."""
    # Where the upstream does not chain, `replay` may be the word of an edge of the release before.
    if client_options.continuity is None or (client_options.unchained and client_options.continuity == "replay"):
        return policy == "chain" or (policy == "auto" and named.by_client)
    return client_options.continuity == "chain"
