"""Whatever a client sends: it is converted, the same way every time and without losing a word, or cleanly refused."""

import itertools
import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.schemas.config import Profile
from libs.translate.errors import InvalidRequest, NeedsNative
from libs.translate.request.translating import Translated, encode, parse, translate
from tests.support.chats import Json

TEXT = "<text>"  # stands for a text of its own, wherever it is

# -- what clients send ------------------------------------------------------------------------------

IDS = st.sampled_from(["a", "b", "c" * 70, "mcpr_1"])
NAMES = st.sampled_from(["look", "mcp_approval"])
PARTS = st.sampled_from(
    [
        {"type": "text", "text": TEXT},
        {"type": "text", "text": TEXT, "cache_control": {"note": TEXT}},
        {"type": "text", "text": TEXT, "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "refusal", "refusal": TEXT},
        {"type": "image_url", "image_url": {"url": TEXT, "detail": "low"}},
        {"type": "image_url", "image_url": TEXT},
        {"type": "file", "file": {"file_data": TEXT, "filename": TEXT}},
        {"type": "input_audio", "input_audio": {"data": TEXT, "format": "wav"}},
        {"type": "video_url", "video_url": TEXT},
        {"type": "text"},
    ]
)
CONTENTS = st.one_of(st.none(), st.just(TEXT), st.just(""), st.lists(PARTS, max_size=3))
FUNCTION_CALLS = st.builds(lambda name: {"name": name, "arguments": TEXT}, NAMES)
CALLS = st.one_of(
    st.builds(lambda id_, function: {"id": id_, "type": "function", "function": function}, IDS, FUNCTION_CALLS),
    st.builds(lambda id_: {"id": id_, "type": "custom", "custom": {"name": "print", "input": TEXT}}, IDS),
    st.builds(lambda id_: {"id": id_}, IDS),
)
EXTRAS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just(TEXT),
        "refusal": st.just(TEXT),
        "reasoning_content": st.just(TEXT),
        "vendor": st.just({"note": TEXT}),
        "output": st.just(TEXT),
        "audio": st.sampled_from([None, {"id": "audio_1"}, {"id": "audio_1", "transcript": TEXT}]),
        "function_call": st.one_of(st.none(), FUNCTION_CALLS),
        "tool_calls": st.one_of(st.none(), st.lists(CALLS, max_size=2)),
    },
)


def _message(role: str, content: Any, extras: Json) -> Json:
    kept = extras if role == "assistant" else {key: extras[key] for key in extras.keys() & {"name", "vendor", "output"}}
    return {"role": role, "content": content, **kept}


def _turn(calls: list[Json], contents: list[Any]) -> list[Json]:
    answers = [{"role": "tool", "tool_call_id": c["id"], "content": x} for c, x in zip(calls, contents, strict=False)]
    return [{"role": "assistant", "content": TEXT, "tool_calls": calls}, *answers]


ROLES = st.sampled_from(["system", "developer", "user", "user", "assistant", "assistant", "tool", "function", "robot"])
TURNS = st.one_of(
    st.builds(lambda *given: [_message(*given)], ROLES, CONTENTS, EXTRAS),
    st.builds(_turn, st.lists(CALLS, min_size=1, max_size=2), st.lists(CONTENTS, min_size=2, max_size=2)),
    st.builds(
        lambda call, content: [
            {"role": "assistant", "function_call": call},
            {"role": "function", "name": call["name"], "content": content},
        ],
        FUNCTION_CALLS,
        CONTENTS,
    ),
    st.builds(lambda id_: [{"type": "function_call_output", "call_id": id_, "output": TEXT}], IDS),
)
HISTORIES = st.lists(TURNS, min_size=1, max_size=4).map(lambda turns: list(itertools.chain(*turns)))
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "instructions": st.just(TEXT),
        "prediction": st.just({"type": "content", "content": TEXT}),
        "metadata": st.just({"note": TEXT}),
        "vendor": st.just(TEXT),
        "user": st.just(TEXT),
        "prompt": st.just({"id": TEXT}),
        "n": st.integers(1, 9),
        "stop": st.sampled_from([TEXT, [TEXT, TEXT], []]),
        "max_tokens": st.integers(1, 20),
        "seed": st.integers(),
        "tools": st.sampled_from(
            [
                [{"type": "function", "function": {"name": "look", "description": TEXT, "vendor": TEXT}}],
                [{"type": "custom", "custom": {"name": "print", "description": TEXT}}],
                [{"type": "mcp", "server_label": TEXT}],
                [],
            ]
        ),
        "previous_response_id": st.just("resp_1"),
        "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
        "logit_bias": st.sampled_from([{}, None, {}, {"1": 1}]),
        "modalities": st.sampled_from([["text"], None, ["text"], ["audio"]]),
    },
)
REQUESTS = st.builds(lambda history, fields: {"model": "gpt-5", "messages": history, **fields}, HISTORIES, FIELDS)
PROFILES = st.builds(
    Profile,
    api=st.sampled_from(["both", "responses"]),
    strict=st.booleans(),
    instructions=st.sampled_from(["hoist", "keep"]),
    name_mode=st.sampled_from(["drop", "prefix"]),
    tool_output_list=st.booleans(),
    open_reasoning=st.booleans(),
    json_object=st.sampled_from(["auto", "keep"]),
    policies=st.sampled_from([{}, {"vendor": "forward", "stop": "forward"}, {"input_audio": "forward", "n": "drop"}]),
)

# -- and what comes of it ---------------------------------------------------------------------------


def _numbered(value: Any, path: str, texts: dict[str, str]) -> Any:
    """Give each text a word of its own, and note where it stands."""
    if value == TEXT:
        texts[path] = f"word{len(texts)}word"
        return texts[path]
    if isinstance(value, list):
        return [_numbered(entry, f"{path}[{k}]", texts) for k, entry in enumerate(value)]
    if isinstance(value, dict):
        return {key: _numbered(entry, f"{path}.{key}".lstrip("."), texts) for key, entry in value.items()}
    return value


def _converted(request: Json, profile: Profile) -> Translated | None:
    """Return the translation; None for a request that is refused, or not Parley's to serve."""
    try:
        return translate(parse(json.dumps(request).encode()), model="gpt-5", profile=profile)
    except InvalidRequest as refused:
        assert refused.status == 400 and refused.error.message
        assert refused.error.type == "invalid_request_error"
        return None
    except NeedsNative as native:
        assert native.reason and profile.api != "responses"
        return None


def _is_told(path: str, dropped: list[str]) -> bool:
    kind = re.sub(r"\[\d+\]", "[*]", path)
    return any(
        place == name or place.startswith((f"{name}.", f"{name}[")) for name in dropped for place in (path, kind)
    )


@settings(max_examples=400, deadline=None)
@given(REQUESTS, PROFILES)
def test_a_request_is_converted_without_losing_a_word_or_refused(request: Json, profile: Profile) -> None:
    texts: dict[str, str] = {}
    request = _numbered(request, "", texts)
    made = _converted(request, profile)
    if made is None:
        return
    sent = encode(made.body, made.forwarded).decode()
    again = _converted(request, profile)
    assert again is not None and encode(again.body, again.forwarded).decode() == sent
    lost = {path for path, word in texts.items() if word not in sent and word not in made.plan.stop}
    assert not {path for path in lost if not _is_told(path, made.dropped)}
