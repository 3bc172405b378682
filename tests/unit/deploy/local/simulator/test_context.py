from typing import Any

import pytest

from deploy.local.simulator import sealed
from deploy.local.simulator.context import assemble, media
from deploy.local.simulator.errors import ApiError
from deploy.local.simulator.request import to_request
from deploy.local.simulator.store import Kept, Store

USER = {"role": "user", "content": "Hello"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "21"}


def items_of(items: list[Any], store: Store | None = None, **params: Any) -> list[Any]:
    request = to_request({"model": "gpt-5.5", "input": items, **params})
    return assemble(request, "account", store or Store())


def refusal(items: list[Any], store: Store | None = None, **params: Any) -> ApiError:
    with pytest.raises(ApiError) as raised:
        items_of(items, store, **params)
    return raised.value


def with_parent(account: str = "account") -> Store:
    store = Store()
    context = to_request({"model": "gpt-5.5", "input": [USER, CALL]}).items
    store.keep(Kept(account, {"id": "resp_1", "output": context[1:]}, context[:1], context, 100))
    return store


def test_a_call_and_its_output_pair_also_when_apart() -> None:
    assert len(items_of([USER, CALL, {"role": "assistant", "content": "wait"}, OUTPUT])) == 4


def test_an_output_without_its_call_is_refused() -> None:
    error = refusal([USER, OUTPUT])
    assert error.message == "No tool call found for function call output with call_id call_1."
    assert (error.status, error.param, error.code) == (400, "input", None)


def test_a_call_without_its_output_is_refused() -> None:
    assert refusal([USER, CALL]).message == "No tool output found for function call call_1."


def test_an_output_before_its_call_is_refused() -> None:
    assert "No tool call found" in refusal([OUTPUT, CALL]).message


def test_a_chained_request_sees_the_chain() -> None:
    seen = items_of([OUTPUT], with_parent(), previous_response_id="resp_1")
    assert [item["type"] for item in seen] == ["message", "function_call", "function_call_output"]


def test_a_chained_request_must_answer_the_calls_of_its_parent() -> None:
    assert "No tool output found" in refusal([USER], with_parent(), previous_response_id="resp_1").message


@pytest.mark.parametrize("store", [Store(), with_parent(account="another")], ids=["unknown", "foreign"])
def test_a_parent_that_is_not_ours_is_not_found(store: Store) -> None:
    error = refusal([OUTPUT], store, previous_response_id="resp_1")
    assert error.fields() == {
        "message": "Previous response with id 'resp_1' not found.",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }


def test_an_item_reference_is_looked_up() -> None:
    store = with_parent()
    call_id = store.find("account", "resp_1").response["output"][0]["id"]  # type: ignore[union-attr]
    seen = items_of([USER, {"type": "item_reference", "id": call_id}, OUTPUT], store)
    assert seen[1]["call_id"] == "call_1"
    assert refusal([{"type": "item_reference", "id": "fc_unknown"}], store).status == 404


def test_reasoning_needs_its_following_item_and_our_own_seal() -> None:
    token = sealed.issue("thought", "account", 64)
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": token}
    assert len(items_of([USER, reasoning, CALL, OUTPUT])) == 4
    assert refusal([USER, reasoning]).message == (
        "Item 'rs_1' of type 'reasoning' was provided without its required following item."
    )
    foreign = {**reasoning, "encrypted_content": sealed.issue("thought", "another", 64)}
    assert refusal([USER, foreign, CALL, OUTPUT]).code == "invalid_encrypted_content"
    broken = {**reasoning, "encrypted_content": token[:-8] + "AAAAAAAA"}
    assert refusal([USER, broken, CALL, OUTPUT]).code == "invalid_encrypted_content"


def test_json_object_needs_the_word_json_in_the_input() -> None:
    text = {"format": {"type": "json_object"}}
    assert "must contain the word 'json'" in refusal([USER], text=text).message
    assert items_of([{"role": "user", "content": "As JSON"}], text=text)


def test_inline_media_are_measured_without_decoding() -> None:
    parts = [
        {"type": "input_image", "image_url": "data:image/png;base64,AAECAw=="},
        {"type": "input_image", "image_url": "https://example.com/a.png"},
    ]
    found = media(items_of([{"role": "user", "content": parts}]), "input_image")
    assert (found.count, found.bytes) == (2, 4)
