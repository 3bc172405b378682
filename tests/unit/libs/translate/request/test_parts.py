from typing import Any

import pytest

from libs.schemas.config import Profile
from libs.translate.errors import NeedsNative
from tests.support.chats import USER, Json, assistant, calling, items, made_input, refusal, system, text, tool, user

AUDIO: Json = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
MARK: Json = {"mode": "explicit", "ttl": "12h"}


def _file(terms: Json | None = None, **file: Any) -> Json:
    (item,) = items(user([{"type": "file", "file": file}]), **(terms or {}))
    part: Json = item["content"][0]
    return part


# -- images -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("detail", ["auto", "low", "high", "original"])
def test_every_detail_of_an_image_goes_as_it_is(detail: str) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://a.example/x.png", "detail": detail}}
    (item,) = items(user([image]))
    assert item["content"] == [{"type": "input_image", "image_url": "https://a.example/x.png", "detail": detail}]


# -- files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "data", "name"),
    [
        ({"file_data": "data:a/b;base64,QUFB"}, "data:a/b;base64,QUFB", "file"),
        ({"file_data": "data:application/pdf;base64,QUFB"}, "data:application/pdf;base64,QUFB", "document.pdf"),
        ({"file_data": "JVBERi0xLjc="}, "data:application/pdf;base64,JVBERi0xLjc=", "document.pdf"),
        ({"file_data": "QUFB", "filename": "a.TXT"}, "data:text/plain;base64,QUFB", "a.TXT"),
        ({"file_data": "QUFB", "filename": "a.xyz"}, "data:application/octet-stream;base64,QUFB", "a.xyz"),
        ({"file_data": "QUFB"}, "data:application/octet-stream;base64,QUFB", "file"),
    ],
)
def test_an_inline_file_is_a_data_url_with_a_name(file: Json, data: str, name: str) -> None:
    assert _file(**file) == {"type": "input_file", "file_data": data, "filename": name}


def test_a_file_that_stayed_on_the_edge_is_known_by_its_head() -> None:
    terms = {"heads": {"parley-lift:f:0.": "JVBERi0x"}}
    assert _file(terms, file_data="parley-lift:f:0.")["file_data"] == "data:application/pdf;base64,parley-lift:f:0."
    terms = {"heads": {"parley-lift:f:0.": "data:text/plain;base64,QUFB"}}
    assert _file(terms, file_data="parley-lift:f:0.")["file_data"] == "parley-lift:f:0."


def test_a_file_may_come_by_id_or_by_url() -> None:
    assert _file(file_id="file-1") == {"type": "input_file", "file_id": "file-1"}
    assert _file(file_url="https://a.example/x.pdf") == {"type": "input_file", "file_url": "https://a.example/x.pdf"}


# -- sound ------------------------------------------------------------------------------------------


def test_sound_is_forwarded_where_the_upstream_takes_it() -> None:
    (item,) = items(user([AUDIO]), profile=Profile(policies={"input_audio": "forward"}))
    assert item["content"] == [AUDIO]


def test_sound_goes_to_the_chat_endpoint_where_there_is_one() -> None:
    with pytest.raises(NeedsNative) as raised:
        items(user([text("x"), AUDIO]))
    assert raised.value.reason == "messages[0].content[1]"


@pytest.mark.parametrize("profile", [Profile(api="responses"), Profile(policies={"input_audio": "refuse"})])
def test_sound_is_refused_elsewhere(profile: Profile) -> None:
    assert refusal(user([AUDIO]), profile=profile).error.param == "messages[0].content[0]"


# -- breakpoints ------------------------------------------------------------------------------------


def test_a_breakpoint_is_copied_where_it_has_a_place() -> None:
    image = {"type": "image_url", "image_url": {"url": "u"}, "prompt_cache_breakpoint": MARK}
    file = {"type": "file", "file": {"file_id": "f"}, "prompt_cache_breakpoint": MARK}
    (item,) = items(user([{**text("a"), "prompt_cache_breakpoint": MARK}, image, file]))
    assert [part["prompt_cache_breakpoint"] for part in item["content"]] == [MARK, MARK, MARK]


def test_a_breakpoint_of_an_assistant_is_dropped_and_told() -> None:
    made = made_input(USER, assistant([{**text("a"), "prompt_cache_breakpoint": MARK}]))
    assert made.dropped == ["messages[1].content[0].prompt_cache_breakpoint"]


def test_a_system_message_with_a_breakpoint_is_not_hoisted() -> None:
    marked = {"role": "system", "content": [{**text("a"), "prompt_cache_breakpoint": MARK}]}
    made = made_input(marked, USER)
    assert (made.hoisted, made.instructions) == (0, None)


@pytest.mark.parametrize(("part", "listed"), [({}, False), ({"prompt_cache_breakpoint": MARK}, True)])
def test_a_result_is_a_list_only_where_it_must_be(part: Json, listed: bool) -> None:
    output = items(USER, calling("a"), tool("a", [text("x"), {**text("y"), **part}]))[2]["output"]
    assert output == (
        [{"type": "input_text", "text": "x"}, {"type": "input_text", "text": "y", **part}] if listed else "xy"
    )


def test_a_result_may_hold_a_picture() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://a.example/x.png"}}
    output = items(USER, calling("a"), tool("a", [text("x"), picture]))[2]["output"]
    assert [part["type"] for part in output] == ["input_text", "input_image"]


def test_an_upstream_that_takes_strings_alone_gets_them() -> None:
    strings = Profile(tool_output_list=False)
    picture = {"type": "image_url", "image_url": {"url": "https://a.example/x.png"}}
    error = refusal(USER, calling("a"), tool("a", [picture]), profile=strings)
    assert error.error.param == "messages[2].content[0].type"
    marked = {**text("x"), "prompt_cache_breakpoint": MARK}
    made = made_input(USER, calling("a"), tool("a", [marked]), profile=strings)
    assert made.dropped == ["messages[2].content[0].prompt_cache_breakpoint"]


# -- names ------------------------------------------------------------------------------------------

NAMING = Profile(name_mode="prefix")


@pytest.mark.parametrize(
    ("message", "content"),
    [
        (user("Hi."), "ann: Hi."),
        (user([text("Hi.")]), [{"type": "input_text", "text": "ann: Hi."}]),
        (assistant("Yes."), [{"type": "output_text", "text": "ann: Yes.", "annotations": []}]),
    ],
)
def test_a_name_can_stand_before_the_text(message: Json, content: Any) -> None:
    made = items({**message, "name": "ann"}, profile=NAMING)
    assert made[0]["content"] == content


def test_a_name_can_stand_in_instructions() -> None:
    assert made_input({**system("Be kind."), "name": "ann"}, USER, profile=NAMING).instructions == "ann: Be kind."


def test_a_name_without_text_is_dropped_and_told() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://a.example/x.png"}}
    made = made_input({**user([picture]), "name": "ann"}, {**assistant(None), "name": "bob"}, profile=NAMING)
    assert made.dropped == ["messages[0].name", "messages[1].name"]


# -- instructions and roles -------------------------------------------------------------------------


def test_every_message_can_be_kept_an_item() -> None:
    made = made_input(system("Be kind."), USER, profile=Profile(instructions="keep"))
    assert (made.hoisted, made.instructions, len(made.items)) == (0, None, 2)


@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_role_of_instructions_can_be_the_upstreams(role: Any) -> None:
    made = items(USER, system("a"), {"role": "developer", "content": "b"}, profile=Profile(system_role=role))
    assert [item["role"] for item in made] == ["user", role, role]
