import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.schemas.wire.completion import AssistantMessage
from libs.translate.continuity.fingerprint import (
    EchoedTurn,
    History,
    after,
    context,
    given_turn,
    history,
    scope_digest,
    turn_key,
)
from libs.translate.lift import MIN_BYTES, lift
from libs.translate.request.messages import to_input
from libs.translate.request.parts import Terms
from tests.support import answers
from tests.support.chats import USER, Json, assistant, calling, messages, system, text, tool, user

OWNER = scope_digest("tenant", "account", "")
LONG = "YWJj" * (MIN_BYTES // 4)
IMAGE = "data:image/png;base64," + LONG


def _history(
    given_messages: list[Json], owner: str = OWNER, media: dict[str, str] | None = None, start: str | None = None
) -> History:
    decoded = messages(*given_messages)
    return history(decoded, to_input(decoded, Terms(continues=True)).hoisted, owner, media or {}, start)


def _newest(turns: list[Json], owner: str = OWNER) -> EchoedTurn:
    return _history(turns, owner).turns[-1]


# -- owners -----------------------------------------------------------------------------------------


def test_owners_never_share_a_digest() -> None:
    owners = [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("a", "b", ""), ("", "ab", "c"), ("b", "a", "c")]
    assert len({scope_digest(*owner) for owner in owners}) == len(owners)


def test_histories_of_two_owners_never_meet() -> None:
    turns = [USER, assistant("Yes."), USER]
    turns += [calling("c"), tool("c"), USER]
    mine, theirs = (_digests(_history(turns, owner)) for owner in (OWNER, scope_digest("tenant", "account", "ann")))
    assert len(mine) == len(theirs) == 6 and mine.isdisjoint(theirs)


def test_what_follows_a_parent_never_meets_a_whole_history() -> None:
    turns = [USER, assistant("Yes."), USER]
    seeds = [None, after(OWNER, "resp_1"), after(OWNER, "resp_2"), after(OWNER, "conv_1"), after(OWNER, "")]
    found = [_history(turns, start=seed) for seed in seeds]
    assert len({each.digest for each in found} | {each.turns[0].prefix for each in found}) == 2 * len(seeds)
    assert len({OWNER, *seeds}) == len(seeds) + 1
    assert after(OWNER, "resp_1") != after(scope_digest("tenant", "account", "ann"), "resp_1")


def _digests(found: History) -> set[str]:
    answers_ = [(answer.prefix, answer.end, answer.loose) for answer in found.turns]
    return {found.start, found.digest, *(digest for each in answers_ for digest in each)}


# -- places -----------------------------------------------------------------------------------------


def test_every_answer_has_a_digest_oldest_first() -> None:
    found = _history([system("x"), USER, assistant("a"), user("b"), calling("c"), tool("c"), assistant("d"), USER])
    assert [answer.index for answer in found.turns] == [2, 4, 6]
    assert len({answer.prefix for answer in found.turns} | {found.digest}) == 4
    assert found.start == found.turns[-1].end


def test_a_history_without_answers_starts_with_its_owner() -> None:
    found = _history([system("x"), USER, user("b")])
    assert (found.turns, found.start) == ([], OWNER)
    seed = after(OWNER, "resp_1")
    assert _history([USER], start=seed).start == seed


def test_what_is_new_goes_on_from_the_end_of_what_it_follows() -> None:
    turns = [USER, calling("c", arguments='{"a":1}'), tool("c"), user("b")]
    known = _newest(turns)
    assert _history(turns[2:], start=known.end).digest == _history(turns).digest


def test_a_longer_history_begins_with_the_digests_of_the_shorter() -> None:
    turns = [USER, assistant("a"), USER, calling("c"), tool("c"), assistant("b"), USER]
    shorter = _history(turns[:6]).turns
    assert _history(turns).turns[: len(shorter)] == shorter


def test_the_hoisted_system_prompt_does_not_count() -> None:
    turns = [USER, assistant("a"), USER]
    assert _history([system("It is Monday."), *turns]).digest == _history([system("It is Tuesday."), *turns]).digest


# -- what faithful clients rewrite ------------------------------------------------------------------

TEXTS = st.sampled_from(["", "a", "b", "a b", "é🌊", '{"a": 1}', LONG])
PARTS = st.one_of(
    TEXTS.filter(bool).map(text),
    st.sampled_from(["https://x.example/a.png", IMAGE]).map(
        lambda url: {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}
    ),
    st.sampled_from(["file_1", "file_2"]).map(lambda file_id: {"type": "file", "file": {"file_id": file_id}}),
)
TURNS = st.one_of(
    TEXTS.map(lambda value: [user(value)]),
    st.lists(PARTS, min_size=1, max_size=3).map(lambda parts: [user(parts)]),
    TEXTS.map(lambda value: [assistant(value)]),
    TEXTS.filter(bool).map(lambda value: [assistant(None, refusal=value)]),
    st.just([system("Now briefly.")]),
    st.tuples(TEXTS, TEXTS, TEXTS).map(
        lambda said: [
            calling("c1", "c2", arguments='{"a":1,"b":"é"}', content=said[0]),
            tool("c1", said[1]),
            tool("c2", said[2]),
        ]
    ),
)
HISTORIES = st.lists(TURNS, min_size=1, max_size=5).map(
    lambda turns: [USER] + [message for turn in turns for message in turn]
)


def _one_part(message: Json) -> None:
    if isinstance(message.get("content"), str):
        message["content"] = [text(message["content"])]


def _no_parts(message: Json) -> None:
    content = message.get("content")
    if isinstance(content, list) and len(content) == 1 and content[0]["type"] == "text":
        message["content"] = content[0]["text"]


def _emptied(empty: Any) -> Callable[[Json], None]:
    def rewrite(message: Json) -> None:
        for key in ("content", "refusal"):
            if not message.get(key) and message["role"] in ("assistant", "tool"):
                message[key] = empty

    return rewrite


def _without_empties(message: Json) -> None:
    for key in [key for key, value in message.items() if value in (None, "", [])]:
        del message[key]


def _trailing_space(message: Json) -> None:
    if message["role"] == "assistant" and isinstance(message.get("content"), str):
        message["content"] += " \n"


def _split_answer(message: Json) -> None:
    if message["role"] == "assistant" and isinstance(message.get("content"), str):
        half = len(message["content"]) // 2
        message["content"] = [text(message["content"][:half]), text(message["content"][half:])]


def _extra_keys(message: Json) -> None:
    message |= {"annotations": [], "audio": None, "function_call": None, "parsed": None, "vendor": {"x": 1}}
    if message["role"] == "assistant":
        message |= {"reasoning_content": "Hm.", "reasoning_details": [{"index": 0}]}
        for index, call in enumerate(message.get("tool_calls") or ()):
            call |= {"index": index, "parsed_arguments": {"a": 1}}


def _reserialised_arguments(message: Json) -> None:
    for call in message.get("tool_calls") or ():
        call["function"]["arguments"] = '{ "b": "\\u00e9", "a": 1 }'


def _no_call_type(message: Json) -> None:
    for call in message.get("tool_calls") or ():
        del call["type"]


def _no_detail(message: Json) -> None:
    for part in message["content"] if isinstance(message.get("content"), list) else ():
        if part["type"] == "image_url":
            del part["image_url"]["detail"]


def _image_as_string(message: Json) -> None:
    for part in message["content"] if isinstance(message.get("content"), list) else ():
        if part["type"] == "image_url":
            part["image_url"] = part["image_url"]["url"]


def _refusal_as_part(message: Json) -> None:
    if message.get("refusal"):
        message["content"] = [{"type": "refusal", "refusal": message.pop("refusal")}]


REWRITES: dict[str, Callable[[Json], None]] = {
    "one_part": _one_part,
    "no_parts": _no_parts,
    "null": _emptied(None),
    "empty": _emptied(""),
    "absent": _without_empties,
    "trailing_space": _trailing_space,
    "split_answer": _split_answer,
    "extra_keys": _extra_keys,
    "arguments": _reserialised_arguments,
    "no_call_type": _no_call_type,
    "no_detail": _no_detail,
    "image_as_string": _image_as_string,
    "refusal_as_part": _refusal_as_part,
}


def _all(turns: list[Json], *rewrites: Callable[[Json], None]) -> list[Json]:
    turns = copy.deepcopy(turns)
    for rewrite in rewrites:
        for message in turns:
            if message["role"] != "user" or rewrite is not _without_empties:
                rewrite(message)
    return turns


@given(HISTORIES, st.sampled_from(sorted(REWRITES)))
def test_what_faithful_clients_rewrite_changes_no_digest(turns: list[Json], name: str) -> None:
    assert _history(_all(turns, REWRITES[name])) == _history(turns)


@pytest.mark.parametrize("name", REWRITES)
def test_each_rewrite_changes_a_message_but_no_digest(name: str) -> None:
    turns = [
        user([{"type": "image_url", "image_url": {"url": IMAGE, "detail": "auto"}}]),
        assistant("a"),
        user([text("b")]),
        assistant(None, refusal="No."),
        USER,
        calling("c1", arguments='{"a":1,"b":"é"}', content=""),
        tool("c1", ""),
        assistant(None),
    ]
    rewritten = _all(turns, REWRITES[name])
    assert rewritten != turns
    assert _history(rewritten) == _history(turns)


def test_the_order_of_tool_results_does_not_count() -> None:
    first, second = tool("a", "1"), tool("b", "2")
    turns = [USER, calling("a", "b")]
    assert _history([*turns, first, second, assistant("x")]) == _history([*turns, second, first, assistant("x")])
    assert _history([*turns, first, second]).digest == _history([*turns, second, first]).digest


@given(HISTORIES)
def test_what_the_edge_lifts_changes_no_digest(turns: list[Json]) -> None:
    skeleton = lift(json.dumps(turns).encode(), "f" * 32)
    media = {lifted.placeholder: lifted.sha256 for lifted in skeleton.lifted}
    assert _history(json.loads(skeleton.body), media=media) == _history(turns)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
        {"type": "image_url", "image_url": IMAGE},
        {"type": "file", "file": {"file_data": IMAGE, "filename": "a.pdf"}},
        {"type": "input_audio", "input_audio": {"data": LONG, "format": "wav"}},
    ],
)
def test_media_has_the_digest_of_what_was_lifted(part: Json) -> None:
    turns = [user([text("a"), part]), assistant("Yes."), USER]
    skeleton = lift(json.dumps(turns).encode(), "f" * 32)
    media = {lifted.placeholder: lifted.sha256 for lifted in skeleton.lifted}
    assert len(media) == 1
    lifted_turns = messages(*json.loads(skeleton.body))
    assert history(lifted_turns, 0, OWNER, media) == history(messages(*turns), 0, OWNER, {})


def test_empty_texts_of_a_user_do_not_count() -> None:
    assert _history([user([text("a"), text("")])]) == _history([user([text("a")])]) == _history([user("a")])


def test_what_only_looks_like_lifted_media_is_text() -> None:
    skeleton = lift(json.dumps([_typed([{"type": "input_image", "image_url": IMAGE}])]).encode(), "f" * 32)
    media = {lifted.placeholder: lifted.sha256 for lifted in skeleton.lifted}
    [name] = media
    digests = set()
    for said in (name.replace(":0.", ":7."), name.replace(":0.", ":"), name.replace(":0.", ":8.")):
        result = _typed([{"type": "input_text", "text": said}])
        digests.add(history(messages(USER, result), 0, OWNER, media).digest)
        assert history(messages(USER, result), 0, OWNER, media) == history(messages(USER, result), 0, OWNER, {})
    assert len(digests) == 3


def test_white_space_at_the_end_of_a_refusal_does_not_count() -> None:
    plain, spaced = ([USER, assistant(None, refusal=said), USER] for said in ("No.", "No. \n"))
    assert _history(spaced) == _history(plain)
    kept = given_turn(OWNER, _history([USER]).digest, "ctx", AssistantMessage(content=None, refusal="No. "))
    assert _newest(plain).prefix == kept.prefix


# -- what is an edit --------------------------------------------------------------------------------

STORY: list[Json] = [
    user([text("a"), {"type": "image_url", "image_url": {"url": IMAGE}}]),
    assistant("Yes."),
    system("Now briefly."),
    user("b"),
    assistant("Well,", refusal="no."),
    user(
        [
            {"type": "file", "file": {"file_id": "file_1"}},
            {"type": "file", "file": {"file_data": IMAGE, "filename": "a"}},
        ]
    ),
    calling("c1", "c2"),
    tool("c1", "one"),
    tool("c2", "two"),
    assistant(LONG),
    assistant([text("a"), {"type": "refusal", "refusal": "never"}]),
]


def _set(path: list[Any], value: Any) -> Callable[[list[Json]], None]:
    def edit(turns: list[Json]) -> None:
        place: Any = turns
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return edit


def _swap_users(turns: list[Json]) -> None:
    turns[0], turns[3] = turns[3], turns[0]


def _swap_parts(turns: list[Json]) -> None:
    turns[0]["content"].reverse()


def _insert(turns: list[Json]) -> None:
    turns.insert(1, assistant("Hm."))


def _remove(turns: list[Json]) -> None:
    del turns[3]


def _swap_results(turns: list[Json]) -> None:
    turns[7]["content"], turns[8]["content"] = turns[8]["content"], turns[7]["content"]


def _swap_calls(turns: list[Json]) -> None:
    turns[6]["tool_calls"].reverse()


def _set_call_id(turns: list[Json]) -> None:
    turns[6]["tool_calls"][0]["id"] = turns[7]["tool_call_id"] = "c3"


EDITS: dict[str, Callable[[list[Json]], None]] = {
    "user_text": _set([3, "content"], "c"),
    "user_trailing_space": _set([3, "content"], "b "),
    "user_name": _set([3, "name"], "ann"),
    "part_text": _set([0, "content", 0, "text"], "A"),
    "parts_joined": _set([0, "content"], "a"),
    "image": _set([0, "content", 1, "image_url", "url"], IMAGE[:-4] + "AAAA"),
    "image_detail": _set([0, "content", 1, "image_url", "detail"], "low"),
    "answer_text": _set([1, "content"], "No."),
    "answer_leading_space": _set([1, "content"], " Yes."),
    "long_answer": _set([9, "content"], LONG[:-4] + "AAAA"),
    "refusal": _set([4, "refusal"], "yes."),
    "refusal_part": _set([10, "content", 1, "refusal"], "always"),
    "system": _set([2, "content"], "Now at length."),
    "system_role": _set([2, "role"], "developer"),
    "file_id": _set([5, "content", 0, "file", "file_id"], "file_2"),
    "file_data": _set([5, "content", 1, "file", "file_data"], IMAGE + "AAAA"),
    "file_name": _set([5, "content", 1, "file", "filename"], "b"),
    "call_arguments": _set([6, "tool_calls", 0, "function", "arguments"], '{"a": 2}'),
    "call_id": _set_call_id,
    "call_name": _set([6, "tool_calls", 0, "function", "name"], "listen"),
    "result": _set([7, "content"], "eins"),
    "swapped_users": _swap_users,
    "swapped_parts": _swap_parts,
    "swapped_results": _swap_results,
    "swapped_calls": _swap_calls,
    "inserted": _insert,
    "removed": _remove,
}


@pytest.mark.parametrize("name", EDITS)
def test_any_real_edit_changes_every_digest_after_it(name: str) -> None:
    edited = copy.deepcopy(STORY)
    EDITS[name](edited)
    assert _history(edited).digest != _history(STORY).digest
    assert _newest(edited).prefix != _newest(STORY).prefix
    assert _newest(edited).end != _newest(STORY).end


def test_an_edit_leaves_the_digests_before_it() -> None:
    edited = copy.deepcopy(STORY)
    edited[3]["content"] = "c"
    assert _history(edited).turns[0] == _history(STORY).turns[0]


THINNED = calling("c", arguments='{"a":1}')
FULL = calling("c", arguments='{"a":1,"b":2}')


def test_arguments_of_the_newest_call_do_not_count_in_its_prefix() -> None:
    thinned, full = (_history([USER, call, tool("c")]) for call in (THINNED, FULL))
    assert thinned.turns[0].prefix == full.turns[0].prefix
    assert thinned.turns[0].loose == full.turns[0].loose
    assert thinned.turns[0].end != full.turns[0].end
    assert thinned.digest != full.digest


def test_arguments_of_an_older_call_change_all_that_follows() -> None:
    thinned, full = (_history([USER, call, tool("c"), assistant("x"), USER]) for call in (THINNED, FULL))
    assert thinned.turns[0].prefix == full.turns[0].prefix
    assert thinned.turns[1].prefix != full.turns[1].prefix
    assert thinned.digest != full.digest


# -- without its history ----------------------------------------------------------------------------


def test_calls_are_known_again_in_another_history() -> None:
    one = [user("a"), calling("c", content="Looking."), tool("c")]
    other = [user("A summary."), assistant("b"), user("d"), calling("c", content="Looking."), tool("c", "other")]
    assert _newest(one).loose == _newest(other).loose
    assert _newest(one).prefix != _newest(other).prefix
    assert _newest(one).loose != _newest(one, scope_digest("tenant", "account", "ann")).loose


@pytest.mark.parametrize(
    "changed",
    [
        calling("c", content="Looking!"),
        calling("d", content="Looking."),
        calling("c", "d", content="Looking."),
        assistant("Looking.", tool_calls=[{"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]),
    ],
)
def test_calls_with_another_id_name_or_text_are_others(changed: Json) -> None:
    results = [tool(call["id"]) for call in changed["tool_calls"]]
    first = _newest([USER, calling("c", content="Looking."), tool("c")])
    assert _newest([USER, changed, *results]).loose != first.loose


def test_an_answer_without_calls_is_known_by_its_history_alone() -> None:
    loose = [_newest([user(said), assistant("Yes."), USER]).loose for said in "aab"]
    assert loose[0] == loose[1] != loose[2]


def test_a_call_without_an_id_is_known_by_its_history_alone() -> None:
    legacy = assistant(function_call={"name": "look", "arguments": "{}"})
    result = {"role": "function", "name": "look", "content": "x"}
    loose = [_newest([user(said), legacy, result]).loose for said in "ab"]
    assert loose[0] != loose[1]


def test_a_context_is_instructions_and_tool_names_in_any_order() -> None:
    assert context("x", ["b", "a"]) == context("x", ["a", "b"])
    contexts = [
        context("x", ["a"]),
        context("y", ["a"]),
        context("x", ["b"]),
        context("x", []),
        context("", ["x", "a"]),
    ]
    contexts += [context("x", ["a"], "c"), context("x", ["a"], "d")]  # the same words in two conversations
    assert len(set(contexts)) == len(contexts)
    assert len({turn_key("a", one) for one in contexts} | {turn_key("b", one) for one in contexts}) == 2 * len(contexts)


@given(HISTORIES, HISTORIES)
def test_different_histories_have_different_digests(one: list[Json], other: list[Json]) -> None:
    def meant(turns: list[Json]) -> list[Any]:
        return [(message.role, message.content or "", message.refusal) for message in messages(*_all(turns, _no_parts))]

    assert (_history(one).digest == _history(other).digest) or meant(one) != meant(other)


# -- answers ----------------------------------------------------------------------------------------


def _echo(message: AssistantMessage) -> Json:
    """The message as a client sends it back."""
    plain: Json = msgspec.to_builtins(message)
    return plain


@pytest.mark.parametrize(
    "output",
    [
        [answers.message("Yes. ")],
        [answers.message("One."), answers.reasoning("hm"), answers.message("Two.")],
        [answers.refusal("No.")],
        [answers.message("Let me look.\n"), answers.call("c1"), answers.call("c2", arguments='{"a":1}')],
        [answers.message(LONG)],
        [answers.message(LONG + " end  ")],
        [],
    ],
    ids=["text", "two_messages", "refusal", "calls", "long", "long_text", "nothing"],
)
def test_an_answer_is_known_again_in_the_next_request(output: list[Json]) -> None:
    turns = [system("x"), user("a"), assistant("b"), user("c")]
    made = answers.to_message([msgspec.Raw(json.dumps(item).encode()) for item in output], answers.PLAN)
    kept = given_turn(OWNER, _history(turns).digest, "ctx", made)
    assert kept.turn_key == turn_key(kept.prefix, "ctx")
    known = EchoedTurn(index=4, prefix=kept.prefix, end=kept.end, loose=kept.loose)
    echo = _echo(made)
    results = [tool(call["id"]) for call in echo.get("tool_calls", ())]
    later = [*turns, echo, *results, user("d")]
    assert _history(later).turns[-1] == known
    skeleton = lift(json.dumps(later).encode(), "f" * 32)
    media = {lifted.placeholder: lifted.sha256 for lifted in skeleton.lifted}
    assert _history(json.loads(skeleton.body), media=media).turns[-1] == known


def test_an_answer_after_tool_results_is_known_again() -> None:
    turns = [USER, calling("a", "b"), tool("b", "2"), tool("a", "1")]
    kept = given_turn(OWNER, _history(turns).digest, "", AssistantMessage(content="Done."))
    reordered = [USER, calling("a", "b"), tool("a", "1"), tool("b", "2")]
    assert _newest([*reordered, assistant("Done."), USER]).prefix == kept.prefix


def test_digests_do_not_change_between_runs() -> None:
    """State outlives the process: a change here needs a new VERSION."""
    found = _history([USER, assistant("Yes."), user("b")], hashlib.sha256(b"owner").hexdigest()[:32])
    assert found.digest == "293dc460900ed0b5c651c1f1c9f2e4a5"


# -- typed results, sound ---------------------------------------------------------------------------


def _typed(output: Any, **fields: Any) -> Json:
    return {"type": "function_call_output", "call_id": "a", "output": output, **fields}


def test_a_result_is_the_same_by_role_and_by_type() -> None:
    turns = [USER, calling("a")]
    assert _history([*turns, _typed("done")]) == _history([*turns, tool("a", "done")])


def _sound(data: str) -> Json:
    return user([{"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}])


PICTURE: Json = {"type": "image_url", "image_url": {"url": IMAGE}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_typed("a"), _typed("b")),
        (_typed([{"type": "input_text", "text": "a"}]), _typed([{"type": "input_text", "text": "b"}])),
        (
            {"type": "mcp_approval_response", "approval_request_id": "m", "approve": True},
            {"type": "mcp_approval_response", "approval_request_id": "m", "approve": False},
        ),
        (
            {"type": "apply_patch_call_output", "call_id": "a", "status": "completed"},
            {"type": "apply_patch_call_output", "call_id": "a", "status": "failed"},
        ),
        (tool("a", [PICTURE]), tool("a", [])),
        (_sound("AA=="), _sound("BB==")),
        (assistant(audio={"id": "a", "transcript": "x"}), assistant(audio={"id": "a", "transcript": "y"})),
        (assistant(audio={"id": "a"}), assistant(audio={"id": "b"})),
    ],
)
def test_what_says_another_thing_has_another_digest(one: Json, other: Json) -> None:
    first, second = (history(messages(USER, message), 0, OWNER, {}).digest for message in (one, other))
    assert first != second


def test_media_in_a_typed_result_count_by_their_digest() -> None:
    result = json.dumps([_typed([{"type": "input_image", "image_url": IMAGE}])]).encode()
    digests = set()
    for nonce in ("e" * 32, "f" * 32):
        skeleton = lift(result, nonce)
        media = {lifted.placeholder: lifted.sha256 for lifted in skeleton.lifted}
        digests.add(history(messages(*json.loads(skeleton.body)), 0, OWNER, media).digest)
    assert len(digests) == 1


def test_custom_calls_and_questions_are_known_again_too() -> None:
    output = [answers.custom("call_1"), answers.approval("mcpr_1")]
    made = answers.to_message([msgspec.Raw(json.dumps(item).encode()) for item in output], answers.PLAN)
    turns = [user("a")]
    echo = [*turns, _echo(made), tool("call_1"), tool("mcpr_1", "approve"), user("b")]
    kept = given_turn(OWNER, _history(turns).digest, "", made)
    assert _newest(echo) == EchoedTurn(index=1, prefix=kept.prefix, end=kept.end, loose=kept.loose)


def test_a_legacy_call_is_known_again_too() -> None:
    plan = msgspec.structs.replace(answers.PLAN, functions=True)
    made = answers.to_message([msgspec.Raw(json.dumps(answers.call("c", arguments='{"a": 1}')).encode())], plan)
    turns = [user("a")]
    echo = [*turns, _echo(made), {"role": "function", "name": "look", "content": "x"}]
    kept = given_turn(OWNER, _history(turns).digest, "", made)
    assert _newest(echo) == EchoedTurn(index=1, prefix=kept.prefix, end=kept.end, loose=kept.loose)


# -- digests that stand in stores -------------------------------------------------------------------

PINNED_HISTORY = [
    system("Be brief."),
    user("Look."),
    {
        "role": "user",
        "name": "ann",
        "content": [
            {"type": "text", "text": "At this:"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": IMAGE}},
            {"type": "file", "file": {"file_id": "file_1", "filename": "a.pdf"}},
            {"type": "input_audio", "input_audio": {"data": "YWJj", "format": "wav"}},
        ],
    },
    {
        "role": "assistant",
        "content": "Zürich, 🌊 ",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get", "arguments": '{"b": 1, "a": null}'}},
            {"id": "call_2", "type": "custom", "custom": {"name": "run", "input": "ls"}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "x"}]},
    {"role": "tool", "tool_call_id": "call_1", "content": "y"},
    {"role": "assistant", "content": None, "refusal": "No."},
    {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
    {"role": "function", "name": "f", "content": "z"},
]

PINNED = [
    "7034f5adf6c593adab096bad058fd001",
    "32a63b592a798726eaf77304baba35cd",
    "4fbd1813659b7ace466cc083d5442e73",
    "1c185aadbaadfd41dd6582a65a3ed27b",
    "1517d878d6589ef603dc43688abd2232",
    "589407bd88d5a349cb58e4ee7de5efc8",
    "00b27b8d77fc81cd67f73e1f765a6354",
    "93cdf5ebf0bd96d5072caa07b7ad0e2b",
    "e725f52329eb17bdba56df63d0e8c326",
    "e725f52329eb17bdba56df63d0e8c326",
    "b5c8f4a061a7412feaef30e38649a746",
    "210f8787fe47828ec7e5018b7691e76b",
    "1c185aadbaadfd41dd6582a65a3ed27b",
    "f713960569b459cf86316c95029dd5c7",
    "012c5be3e659b953d55b2f315ad82924",
    "aa4d5897100954e03c7599ce7b99e463",
    "aa4d5897100954e03c7599ce7b99e463",
    "bb963084427fd0d885d092e718beeee1",
]


def test_digests_that_stand_in_stores_stay_what_they_are() -> None:
    # Another value forgets every conversation that is kept: raise VERSION, and say so in the changelog.
    found = history(messages(*PINNED_HISTORY), 1, OWNER, {})
    kept = [OWNER, after(OWNER, "resp_1"), context("Be brief.", ["run", "get"], "conv"), found.start, found.digest]
    kept += [digest for one in found.turns for digest in (one.prefix, one.end, one.loose)]
    message = AssistantMessage(content="Yes.", refusal=None)
    told = given_turn(OWNER, found.digest, context("", []), message)
    kept += [told.turn_key, told.prefix, told.end, told.loose]
    assert kept == PINNED


PINNED_PARTS: list[tuple[Json, str]] = [
    (user([{"type": "file", "file": {"file_data": IMAGE}}]), "9a90db41575ef55a1d2bd45018547f3b"),
    (user([{"type": "file", "file": {"file_url": "https://example.com/a.pdf"}}]), "05971c9e8df14da5472ac9540adea79c"),
    (user([{"type": "image_url", "image_url": IMAGE}]), "dcffcfe815fbb0098913dc061a9cd888"),
    ({"role": "user", "content": None}, "4afe25ababd236410aeaea7b7658de4a"),
    ({"role": "tool", "content": "x"}, "080143efca4aea2ec1c344c9df9594f7"),
    ({"type": "computer_call_output", "output": {"a": [1]}}, "7465bbdf7f23bcb0140788e5237824be"),
    (assistant(None, refusal="No. "), "fe1d487e5c61eab6ed0b94cb248b2d7c"),
    (assistant(None, tool_calls=[{"id": "c", "type": "odd"}]), "fdb6ad3aeefbdd8dade52c482b970be2"),
    (assistant(audio={"id": "a"}), "f7781e3bd8280129a9f5a6588b23d05d"),
    (assistant(function_call={"name": "f", "arguments": ""}), "474d47a8155eac8b7451d39857c88794"),
]


@pytest.mark.parametrize(("message", "digest"), PINNED_PARTS)
def test_digest_of_each_form_of_a_message_stays_what_it_is(message: Json, digest: str) -> None:
    assert history(messages(message), 0, OWNER, {}).digest == digest
