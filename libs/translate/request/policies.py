"""What becomes of the fields that have no counterpart, and of those that only the Responses API has.

One policy per field: the configuration's, else the default of the table of fields. A field that asks for
nothing is as good as absent.

See docs/mapping.md#policies.
"""

from typing import Any

import msgspec
from msgspec import Raw

from libs.schemas.config import Profile
from libs.schemas.plan import Format
from libs.schemas.wire.chat import NO_RAW, ChatRequest
from libs.schemas.wire.fields import FIELDS, Policy
from libs.schemas.wire.responses import ResponsesRequest
from libs.translate.errors import InvalidRequest, NeedsNative, unsupported
from libs.translate.request.body import NULL, decode_body

_WITH_POLICY = tuple(name for name, field in FIELDS.items() if field.takes_policy and field.fate != "part")
# They go up as they are, whatever they hold; the others of that fate are fields of `ResponsesRequest`.
_SAME = tuple(
    name for name, field in FIELDS.items() if field.fate == "same" and name not in ResponsesRequest.__struct_fields__
)
_EMULATED = frozenset(name for name, field in FIELDS.items() if field.fate == "emulated")
_TRANSLATED = frozenset(name for name, field in FIELDS.items() if field.fate == "translated")
_NEUTRAL = {name: field.neutral for name, field in FIELDS.items() if field.neutral}

_VALUE = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


class Applied(msgspec.Struct, frozen=True):
    """The request without what is left out of it, and the fields that go up under their own names."""

    chat: ChatRequest
    forwarded: dict[str, Raw]
    dropped: list[str]


def apply(chat: ChatRequest, unknown: dict[str, Raw], profile: Profile, format_: Format) -> Applied:
    """Apply the policies to a request and to the keys that no Struct knows, given by their paths.

    Raises InvalidRequest for a field that is refused, else NeedsNative for one that the upstream's own
    chat endpoint must serve.
    """
    asked = [(name, value) for name in _WITH_POLICY if _asks(name, value := getattr(chat, name))]
    decided = [(name, value, _policy(name, profile, format_)) for name, value in asked]
    decided += [(path, raw, _unknown_policy(path, profile, format_)) for path, raw in unknown.items()]
    native = next((name for name, _, policy in decided if policy == "native"), None)
    if native is not None:
        raise NeedsNative(native)
    same = {name: raw for name in _SAME if (raw := getattr(chat, name)) is not NO_RAW and raw != NULL}
    forwarded = {
        name: _raw(value) for name, value, policy in decided if policy == "forward" and name not in _TRANSLATED
    }
    blank = {name: None for name, value, policy in decided if not isinstance(value, Raw) and _is_over(name, policy)}
    return Applied(
        chat=msgspec.structs.replace(chat, **blank) if blank else chat,
        forwarded=dict(sorted((same | forwarded).items())),
        dropped=sorted(name for name, _, policy in decided if policy == "drop"),
    )


def serves_native(profile: Profile, format_: Format) -> bool:
    """Whether a request may be handed to the upstream's own chat endpoint."""
    return profile.api != "responses" and format_ == "chat"


def policy_of(name: str, profile: Profile, format_: Format) -> Policy:
    """Return the policy for a field that has one by default; `native` only where it can be had."""
    policy = profile.policies.get(name) or FIELDS[name].policy or "refuse"
    return "refuse" if policy == "native" and not serves_native(profile, format_) else policy


def _policy(name: str, profile: Profile, format_: Format) -> Policy | None:
    """Return the policy; None for a field that Parley serves by itself. Raises InvalidRequest for `refuse`."""
    if name in _EMULATED and name not in profile.policies:
        return None
    policy = policy_of(name, profile, format_)
    if policy == "refuse":
        raise unsupported(name)
    return policy


def _unknown_policy(path: str, profile: Profile, format_: Format) -> Policy:
    policy = profile.policies.get(path, "refuse" if profile.strict else "drop")
    if policy == "refuse" or (policy == "native" and not serves_native(profile, format_)):
        raise InvalidRequest(f"Unrecognized request argument supplied: {path}", path, "unknown_parameter")
    return policy


def _asks(name: str, value: Any) -> bool:
    if value is None or value is NO_RAW:
        return False
    if name not in _NEUTRAL:
        return not isinstance(value, Raw) or value != NULL
    plain = decode_body(_VALUE, value, name) if isinstance(value, Raw) else value
    return plain is not None and plain not in _NEUTRAL[name]


def _is_over(name: str, policy: Policy | None) -> bool:
    """Whether a field that would be translated later must not be."""
    return policy == "drop" or (policy == "forward" and name in _EMULATED)


def _raw(value: Any) -> Raw:
    return value if isinstance(value, Raw) else Raw(_ENCODER.encode(value))
