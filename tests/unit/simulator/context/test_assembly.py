from typing import Any

import pytest

from simulator.checks.responses_request import to_request
from simulator.context import encrypted_content
from simulator.context.assembly import assemble
from simulator.context.lineage import Lineage
from simulator.context.reading import media
from simulator.kept.conversations import Conversations
from simulator.kept.responses import Kept, Store
from simulator.wire.errors import ApiError

USER = {"role": "user", "content": "Hello"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "21"}


LINEAGE = Lineage()


def items_of(
    items: list[Any], memory: Store | None = None, lineage: Lineage = LINEAGE, account: str = "account", **params: Any
) -> list[Any]:
    request = to_request({"model": "gpt-5.5", "input": items, **params})
    return assemble(request, account, memory or Store(), lineage, Conversations())


def refusal(items: list[Any], memory: Store | None = None, **params: Any) -> ApiError:
    with pytest.raises(ApiError) as raised:
        items_of(items, memory, **params)
    return raised.value


def with_parent(account: str = "account") -> Store:
    store = Store()
    context = to_request({"model": "gpt-5.5", "input": [USER, CALL]}).items
    response = {"id": "resp_1", "status": "completed", "output": context[1:]}
    store.keep(Kept(account, response, context[:1], context, 100))
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


def sealed_reasoning(account: str = "account") -> dict[str, Any]:
    token = encrypted_content.issue("thought", account, 64)
    return {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": token}


NAMED_CALL = {**CALL, "id": "fc_1"}


def issued() -> Lineage:
    """A lineage in which rs_1 led to fc_1."""
    lineage = Lineage()
    lineage.record("account", [sealed_reasoning(), NAMED_CALL])
    return lineage


@pytest.mark.parametrize("lineage", [Lineage(), issued()], ids=["unknown", "issued"])
def test_reasoning_is_accepted_with_the_item_it_led_to(lineage: Lineage) -> None:
    assert len(items_of([USER, sealed_reasoning(), NAMED_CALL, OUTPUT], lineage=lineage)) == 4


@pytest.mark.parametrize(
    "after",
    [
        [],
        [USER],
        [CALL, OUTPUT],
        [{"role": "assistant", "content": "Changed."}, USER],
        [{**NAMED_CALL, "id": "fc_2"}, OUTPUT],
    ],
    ids=["the end", "a user", "a call without id", "a message without id", "another call"],
)
def test_reasoning_without_the_item_it_led_to_is_refused(after: list[Any]) -> None:
    error = refusal([USER, sealed_reasoning(), *after], lineage=issued())
    assert error.message == "Item 'rs_1' of type 'reasoning' was provided without its required following item."
    assert (error.status, error.param, error.code) == (400, "input", None)


def test_an_item_with_its_id_needs_the_reasoning_before_it() -> None:
    assert refusal([USER, NAMED_CALL, OUTPUT], lineage=issued()).message == (
        "Item 'fc_1' of type 'function_call' was provided without its required 'reasoning' item: 'rs_1'."
    )
    assert items_of([USER, CALL, OUTPUT], lineage=issued())
    assert items_of([USER, NAMED_CALL, OUTPUT], lineage=issued(), account="another")


def test_sealed_content_of_another_account_or_changed_is_refused() -> None:
    ours, theirs = sealed_reasoning(), sealed_reasoning("another")
    assert refusal([USER, theirs, NAMED_CALL, OUTPUT]).code == "invalid_encrypted_content"
    broken = {**ours, "encrypted_content": ours["encrypted_content"][:-8] + "AAAAAAAA"}
    assert refusal([USER, broken, NAMED_CALL, OUTPUT]).code == "invalid_encrypted_content"
    assert refusal([{"type": "compaction", "encrypted_content": "made up"}]).code == "invalid_encrypted_content"


def test_reasoning_without_its_content_must_be_stored() -> None:
    bare = {"type": "reasoning", "id": "rs_1", "summary": []}
    error = refusal([USER, bare, NAMED_CALL, OUTPUT], store=False)
    assert error.status == 404 and "Items are not persisted when `store` is set to false." in error.message
    assert refusal([USER, bare, NAMED_CALL, OUTPUT]).message == "Item with id 'rs_1' not found."
    store = Store()
    kept = {"id": "resp_1", "status": "completed", "output": [bare, NAMED_CALL]}
    store.keep(Kept("account", kept, [], [], 10))
    assert items_of([USER, bare, NAMED_CALL, OUTPUT], store)


def test_a_chain_that_ended_in_reasoning_is_refused() -> None:
    store = Store()
    kept = {"id": "resp_1", "status": "incomplete", "output": [sealed_reasoning()]}
    store.keep(Kept("account", kept, [], [sealed_reasoning()], 10))
    assert "required following item" in refusal([USER], store, previous_response_id="resp_1").message


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_an_unfinished_parent_is_not_found(status: str) -> None:
    store = Store()
    store.keep(Kept("account", {"id": "resp_1", "status": status, "output": []}, [], [], 10))
    assert refusal([USER], store, previous_response_id="resp_1").code == "previous_response_not_found"


def test_a_compaction_item_stands_for_what_came_before_it() -> None:
    token = encrypted_content.issue("compacted", "account", 64)
    seen = items_of([USER, CALL, {"type": "compaction", "encrypted_content": token}, USER])
    assert [item["type"] for item in seen] == ["compaction", "message"]


def test_more_than_the_window_is_refused_unless_truncation_is_automatic() -> None:
    long = {"role": "user", "content": "x" * 5000}
    assert refusal([long, long, USER], model="sim-small").code == "context_length_exceeded"
    assert len(items_of([long, long, USER], model="sim-small", truncation="auto")) == 2


@pytest.mark.parametrize(
    ("call", "output"),
    [
        (
            {"type": "local_shell_call", "id": "lsh_1", "call_id": "c", "action": {"type": "exec"}},
            {"type": "local_shell_call_output", "id": "c", "output": "x"},
        ),
        (
            {"type": "shell_call", "call_id": "c", "action": {"commands": []}},
            {"type": "shell_call_output", "call_id": "c", "output": []},
        ),
        (
            {"type": "apply_patch_call", "call_id": "c", "operation": {}},
            {"type": "apply_patch_call_output", "call_id": "c", "status": "completed"},
        ),
        (
            {"type": "mcp_approval_request", "id": "mcpr_1", "arguments": "", "name": "f", "server_label": "s"},
            {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
        ),
    ],
)
def test_every_kind_of_client_call_needs_its_result(call: dict[str, Any], output: dict[str, Any]) -> None:
    assert len(items_of([USER, call, output])) == 3
    assert refusal([USER, call]).rule in ("missing_output", "unapproved")
    assert refusal([USER, output]).rule == "orphan_output"


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
