"""What a tenant may see of its conversations, and how it erases them."""

from collections import defaultdict
from collections.abc import Iterable

from libs.schemas.bus.state import ConversationInfo, DeleteReply, Head, ListReply, ReadReply, ReadRequest
from services.state import heads
from services.state.keys import Keys
from services.state.moving import move
from services.state.records import HEAD, MEMBER, OWNER, POINTER, TURN, KeptHead, Member
from services.state.vault import Vault

MAX_PAGE = 100


async def read(vault: Vault, keys: Keys, request: ReadRequest) -> ReadReply:
    """Return the conversation, over all its scopes, and the owner of the id."""
    conversation, owner = None, None
    if request.conversation is not None:
        found = await _heads(vault, keys.heads(request.conversation))
        conversation = _info(found) if found else None
    if request.upstream_id is not None:
        owner = (await vault.get(keys.owner(request.upstream_id), OWNER)).record
    return ReadReply(conversation=conversation, upstream=None if owner is None else owner.upstream)


async def page(vault: Vault, keys: Keys, after: str | None, limit: int) -> ListReply:
    """Return up to `limit` conversations, newest first; those behind `after`, all where that is not known."""
    by_name: defaultdict[str, list[tuple[KeptHead, Head]]] = defaultdict(list)
    for kept, head in await _heads(vault, keys.all_heads()):
        by_name[head.conversation].append((kept, head))
    infos = sorted(map(_info, by_name.values()), key=lambda info: (-info.updated, info.id))
    start = next((index + 1 for index, info in enumerate(infos) if info.id == after), 0)
    end = start + max(1, min(limit, MAX_PAGE))
    return ListReply(conversations=infos[start:end], has_more=len(infos) > end)


async def delete(vault: Vault, keys: Keys, conversation: str, now: int, ttl_seconds: int) -> DeleteReply:
    """Erase a conversation in all its scopes; what began before and is kept later finds a tombstone.

    That comes first, what the conversation is found by last: a deletion that broke off can be repeated, and
    says the same. `now` in Unix seconds, `ttl_seconds` how long a commit may be late.
    """

    def buried(present: KeptHead | None) -> heads.Change:
        return heads.Change(None, 0) if present is None else heads.deleted(present, now, ttl_seconds)

    head_keys = await vault.keys(keys.heads(conversation))
    were_there = [await move(vault, key, buried, now) for key in head_keys]
    member_keys = await vault.keys(keys.members(conversation))
    members = await _all(vault, member_keys)
    responses = {member.stored.response_id: member.stored for member in members if member.stored is not None}
    entries = {member.turn_key: member.loose for member in members}
    await vault.delete([*await of_entries(vault, keys, entries), *map(keys.owner, responses)])
    await vault.delete(member_keys)
    return DeleteReply(known=any(were_there) or bool(member_keys), responses=list(responses.values()))


async def delete_turns(vault: Vault, keys: Keys, entries: list[str]) -> DeleteReply:
    """Erase turns that an upstream does not know any more."""
    turns = await vault.read({keys.turn(entry): TURN for entry in entries})
    known = {entry: turns[keys.turn(entry)].loose for entry in entries if keys.turn(entry) in turns}
    found = await of_entries(vault, keys, known)
    # Those not found too: a replica may lag behind.
    await vault.delete({*found, *map(keys.turn, entries), *map(keys.items, entries)})
    return DeleteReply(known=bool(known))


async def of_entries(vault: Vault, keys: Keys, entries: dict[str, str]) -> list[str]:
    """Return the keys of turns, given with their loose key: that one only where it leads there.

    An ambiguous one stays: other turns may have it, and none must seem to be the only one.
    """
    pointers = await vault.read({keys.loose(loose): POINTER for loose in entries.values()})
    found = []
    for entry, loose in entries.items():
        found += [keys.turn(entry), keys.items(entry)]
        pointer = pointers.get(keys.loose(loose))
        if pointer is not None and pointer.turn_key == entry:
            found.append(keys.loose(loose))
    return found


async def _heads(vault: Vault, prefix: str) -> list[tuple[KeptHead, Head]]:
    """Return the heads of conversations that have an answer, each with its summary."""
    found = await vault.read(dict.fromkeys(await vault.keys(prefix), HEAD))
    return [(kept, kept.head) for kept in found.values() if kept.head is not None]


async def _all(vault: Vault, member_keys: list[str]) -> list[Member]:
    """Return the members, each of them: where a replica lags, the leader is asked."""
    members = await vault.read(dict.fromkeys(member_keys, MEMBER))
    late = [(await vault.get(key, MEMBER)).record for key in member_keys if key not in members]
    return [*members.values(), *(member for member in late if member is not None)]


def _info(heads_: Iterable[tuple[KeptHead, Head]]) -> ConversationInfo:
    """Return the heads of one conversation as one: sums of all, and the rest from the newest."""
    by_age = sorted(heads_, key=lambda pair: pair[1].updated)
    newest = by_age[-1][1]
    return ConversationInfo(
        id=newest.conversation,
        turns=sum(head.turns for _, head in by_age),
        model=newest.model,
        upstream=newest.upstream,
        stored=any(head.stored for _, head in by_age),
        last_response_id=newest.response_id,
        created=min(head.created for _, head in by_age),
        updated=newest.updated,
        expires=max(kept.expires for kept, _ in by_age),
    )
