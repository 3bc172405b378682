"""What the model sees: the chain behind a request and its own input, checked as a whole and read by the script."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deploy.local.simulator import errors, sealed
from deploy.local.simulator.request import ResponsesRequest
from deploy.local.simulator.store import Store
from deploy.local.simulator.wire import Json

# Each kind of call with its result, and the words its refusals use (translation reference E).
_PAIRS = {
    "function_call": ("function_call_output", "function call"),
    "custom_tool_call": ("custom_tool_call_output", "custom tool call"),
}
_CALL_OF_OUTPUT = {output: (call, words) for call, (output, words) in _PAIRS.items()}
OUTPUT_TYPES = frozenset(_CALL_OF_OUTPUT)


def assemble(request: ResponsesRequest, account: str, store: Store) -> list[Json]:
    """Every item the model sees, oldest first. Raises the `ApiError` for a chain or a pairing that does not hold."""
    earlier = _chained(request, account, store)
    own = [_resolved(item, account, store) for item in request.items]
    context = [*earlier, *own]
    _check_pairs(context)
    _check_reasoning(own, account)
    _check_json_word(request, context)
    return context


def _chained(request: ResponsesRequest, account: str, store: Store) -> list[Json]:
    conversation = request.params.get("conversation")
    if conversation is not None:
        id = conversation if isinstance(conversation, str) else conversation.get("id")
        raise errors.not_found("Conversation", str(id))
    previous = request.params.get("previous_response_id")
    if previous is None:
        return []
    if not previous.startswith("resp"):
        message = f"Invalid 'previous_response_id': '{previous}'. Expected an ID that begins with 'resp'."
        raise errors.ApiError(message, param="previous_response_id", code="invalid_value")
    parent = store.find(account, previous)
    if parent is None:
        raise errors.previous_response_not_found(previous)
    return parent.context


def _resolved(item: Json, account: str, store: Store) -> Json:
    if item["type"] != "item_reference":
        return item
    found = store.find_item(account, item["id"])
    if found is None:
        raise errors.not_found("Item", item["id"])
    return found


def _check_pairs(context: list[Json]) -> None:
    open_calls: dict[tuple[str, str], str] = {}
    answered: set[tuple[str, str]] = set()
    for item in context:
        type = item["type"]
        if type in _PAIRS:
            open_calls[type, item["call_id"]] = _PAIRS[type][1]
        elif type in _CALL_OF_OUTPUT:
            call, words = _CALL_OF_OUTPUT[type]
            key = (call, item["call_id"])
            if open_calls.pop(key, None) is None and key not in answered:
                message = f"No tool call found for {words} output with call_id {item['call_id']}."
                raise errors.ApiError(message, param="input")
            answered.add(key)
    for (_, call_id), words in open_calls.items():
        raise errors.ApiError(f"No tool output found for {words} {call_id}.", param="input")


def _check_reasoning(own: list[Json], account: str) -> None:
    """A replayed reasoning item must be ours, sealed for this account, and followed by what it led to."""
    following: list[Json | None] = [*own[1:], None]
    for item, after in zip(own, following, strict=True):
        if item["type"] != "reasoning":
            continue
        token = item.get("encrypted_content")
        if token is not None and not sealed.is_issued(token, account):
            message = "The encrypted content could not be verified. Reason: it could not be decrypted or parsed."
            raise errors.ApiError(message, code="invalid_encrypted_content")
        if after is None or after.get("role") in ("user", "system", "developer") or after["type"] in OUTPUT_TYPES:
            message = f"Item '{item['id']}' of type 'reasoning' was provided without its required following item."
            raise errors.ApiError(message, param="input")


def _check_json_word(request: ResponsesRequest, context: list[Json]) -> None:
    if request.text_format["type"] != "json_object":
        return
    if not any("json" in text.lower() for item in context if item["type"] == "message" for text in texts(item)):
        message = (
            "Response input messages must contain the word 'json' in some form "
            "to use 'text.format' of type 'json_object'."
        )
        raise errors.ApiError(message, param="input")


def parts(item: Json) -> Iterator[Json]:
    """The content parts of a message or of a tool result in list form."""
    content = item.get("content") if item["type"] == "message" else item.get("output")
    if isinstance(content, list):
        yield from content


def texts(item: Json) -> Iterator[str]:
    """Every text in an item that a model reads, in order; images and files have none."""
    for part in parts(item):
        yield part.get("text") or part.get("refusal") or ""
    for key in ("arguments", "input", "name"):
        if isinstance(value := item.get(key), str):
            yield value
    if isinstance(value := item.get("output"), str):
        yield value


def last_user_text(context: list[Json]) -> str:
    """The text of the newest user message, "" when there is none."""
    for item in reversed(context):
        if item.get("role") == "user":
            return "".join(texts(item))
    return ""


def ends_with_user(context: list[Json]) -> bool:
    return bool(context) and context[-1].get("role") == "user"


def last_outputs(context: list[Json]) -> list[str]:
    """The tool results at the end of the context, each as text; none when something else comes last."""
    outputs: list[str] = []
    for item in reversed(context):
        if item["type"] not in OUTPUT_TYPES:
            break
        outputs.append("".join(texts(item)))
    return outputs[::-1]


@dataclass(frozen=True)
class Media:
    """What was attached: how many, and how many bytes arrived inline (a link or a file id has none)."""

    count: int
    bytes: int


_MEDIA_KEYS = {"input_image": "image_url", "input_file": "file_data"}


def media(context: list[Json], type: str) -> Media:
    """All parts of one type, `input_image` or `input_file`, in the whole context."""
    found = [part for item in context for part in parts(item) if part.get("type") == type]
    return Media(len(found), sum(_inline_bytes(part.get(_MEDIA_KEYS[type])) for part in found))


def _inline_bytes(url: Any) -> int:
    """The decoded size of a base64 data URL, from its length alone."""
    if not isinstance(url, str) or not url.startswith("data:"):
        return 0
    start = url.find(",", 0, 512) + 1
    return (len(url) - start) * 3 // 4 - url[-2:].count("=")
