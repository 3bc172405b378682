"""Takes out of a body what may not cross the bus, without stalling the streams that share the loop."""

import asyncio
import secrets
from collections.abc import Callable

from libs.schemas.subjects import MAX_MESSAGE_BYTES
from libs.translate.errors import InvalidRequest
from libs.translate.lift import Skeleton, lift
from libs.translate.request.secrets import hide, may_hide

# A smaller body is scanned where it is: 64 KiB take some ten microseconds, a thread takes more.
_INLINE_BYTES = 64 * 1024


async def skeleton(body: bytes) -> Skeleton:
    """Return `body` with its long media strings taken out."""
    nonce = secrets.token_hex(16)
    while nonce.encode() in body[:_INLINE_BYTES]:  # never seen; an attacker cannot know it either
        nonce = secrets.token_hex(16)
    return await _run(body, lambda: lift(body, nonce))


async def hidden(bones: Skeleton) -> Skeleton:
    """Return what of a chat body may cross the bus: without the secrets of its tools too.

    Raises InvalidRequest for what is too long for it, or may hold a secret and cannot be read.
    """
    if len(bones.body) > MAX_MESSAGE_BYTES:
        raise text_too_large(MAX_MESSAGE_BYTES)
    return await _run(bones.body, lambda: hide(bones)) if may_hide(bones.body) else bones


def text_too_large(limit: int) -> InvalidRequest:
    """Return the refusal of a body that no message of `limit` bytes can hold."""
    message = f"The text of your request exceeds the limit of {limit} bytes."
    return InvalidRequest(message, None, "request_too_large", status=413)


async def _run(body: bytes, work: Callable[[], Skeleton]) -> Skeleton:
    return work() if len(body) <= _INLINE_BYTES else await asyncio.to_thread(work)
