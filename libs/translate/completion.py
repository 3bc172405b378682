"""A whole Response to a ChatCompletion (translation reference B)."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw

from libs.schemas.chat import (
    Annotation,
    AssistantMessage,
    ChatCompletion,
    Choice,
    FunctionCallOut,
    ToolCallOut,
    UrlCitation,
)
from libs.schemas.errors import ErrorBody
from libs.schemas.plan import StreamPlan
from libs.schemas.responses import (
    FunctionCallItem,
    MessageItem,
    OutputAnnotation,
    OutputItem,
    OutputPart,
    ReasoningItem,
    Response,
    UnknownItem,
    decode_item,
)
from libs.translate.errors import UpstreamFailed
from libs.translate.finish import finish_reason, response_failure
from libs.translate.usage import to_completion_usage

ITEM_SEPARATOR = "\n\n"  # between the texts of two message items, and between parts of a summary

_FAILED = ("failed", "cancelled")
_UNFINISHED = ("queued", "in_progress")
_ESSENTIAL = ("message", "function_call")  # items without which an answer is not the answer
_COMMENTARY = "commentary"


def completion_id(response_id: str) -> str:
    """Return the chat id of a response; reversible, so that a stored completion can be found again."""
    return "chatcmpl-" + response_id.removeprefix("resp_")


def check_readable(item: UnknownItem) -> None:
    """Raise UpstreamFailed if an item that the answer needs could not be read."""
    if item.type in _ESSENTIAL:
        raise _failure(f"The upstream sent an item of type '{item.type}' that cannot be read.", "upstream_malformed")


def _failure(message: str, code: str) -> UpstreamFailed:
    return UpstreamFailed(502, ErrorBody(message=message, type="server_error", code=code))


def reasoning_text(item: ReasoningItem) -> str:
    """Return what may be shown of a reasoning item: its raw text, else its summary (B.2)."""
    if item.content:
        return "".join(part.text for part in item.content)
    return ITEM_SEPARATOR.join(part.text for part in item.summary or ())


def to_annotation(annotation: OutputAnnotation, shift: int) -> Annotation | None:
    """Return a citation nested and moved by `shift` characters; None for types that chat lacks (B.2.2)."""
    if annotation.type != "url_citation":
        return None
    return Annotation(
        url_citation=UrlCitation(
            start_index=(annotation.start_index or 0) + shift,
            end_index=(annotation.end_index or 0) + shift,
            url=annotation.url or "",
            title=annotation.title or "",
        )
    )


class _Message:
    """Collects output items into one assistant message."""

    def __init__(self, plan: StreamPlan) -> None:
        self._plan = plan
        self.text: list[str] = []
        self.refusals: list[str] = []
        self.reasoning: list[str] = []
        self.annotations: list[Annotation] = []
        self.calls: list[ToolCallOut] = []
        self._length = 0  # of the text so far, in characters

    def add(self, item: OutputItem) -> None:
        match item:
            case MessageItem():
                self._add_message(item)
            case FunctionCallItem():
                function = FunctionCallOut(name=item.name, arguments=item.arguments)
                self.calls.append(ToolCallOut(id=item.call_id, function=function))
            case ReasoningItem():
                self._add_reasoning(reasoning_text(item))
            case UnknownItem():
                check_readable(item)

    def _add_reasoning(self, text: str) -> None:
        if text:
            self.reasoning.append(text)

    def _add_message(self, item: MessageItem) -> None:
        if self._plan.structured and item.phase == _COMMENTARY:
            self._add_reasoning("".join(part.text or "" for part in item.content))
            return
        if self._length and not self._plan.structured and any(part.text for part in item.content):
            self._add_text(ITEM_SEPARATOR)
        for part in item.content:
            self._add_part(part)

    def _add_part(self, part: OutputPart) -> None:
        if part.type == "refusal":
            self.refusals.append(part.refusal or "")
            return
        shifted = (to_annotation(annotation, self._length) for annotation in part.annotations or ())
        self.annotations.extend(annotation for annotation in shifted if annotation is not None)
        self._add_text(part.text or "")

    def _add_text(self, text: str) -> None:
        self.text.append(text)
        self._length += len(text)

    def whole(self) -> AssistantMessage:
        content: str | None = "".join(self.text)
        refusal = "".join(self.refusals) or None
        if not content and (self.calls or refusal is not None):
            content = None
        return AssistantMessage(
            content=content,
            refusal=refusal,
            annotations=self.annotations,
            tool_calls=self.calls or UNSET,
            reasoning_content=ITEM_SEPARATOR.join(self.reasoning) or UNSET,
        )


def to_message(output: Sequence[Raw | bytes], plan: StreamPlan) -> AssistantMessage:
    """Return the assistant message that these output items make (B.2). Raises UpstreamFailed."""
    message = _Message(plan)
    for raw in output:
        message.add(decode_item(raw))
    return message.whole()


def to_completion(response: Response, plan: StreamPlan) -> ChatCompletion:
    """Return the completion of a whole response. Raises UpstreamFailed when it failed, or is not whole (B.4)."""
    if response.status in _FAILED:
        raise response_failure(response, plan)
    if response.status in _UNFINISHED:
        raise _failure("The upstream answered before its answer was whole.", "upstream_unfinished")
    message = to_message(response.output, plan)
    has_calls = message.tool_calls is not UNSET
    return ChatCompletion(
        id=completion_id(response.id),
        created=int(response.created_at),
        model=response.model,
        choices=[Choice(message=message, finish_reason=finish_reason(response, has_calls=has_calls))],
        usage=UNSET if response.usage is None else to_completion_usage(response.usage),
        service_tier=response.service_tier or UNSET,
    )


COMPLETION_ENCODER = msgspec.json.Encoder()
