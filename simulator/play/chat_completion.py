"""One native chat completion, whole or in chunks, with the keys that OpenAI's own answers have (recorded)."""

import secrets
import time
from collections.abc import Iterator

from simulator.checks.models import dated
from simulator.checks.responses_request import ResponsesRequest
from simulator.http.framing import to_data_frame
from simulator.http.steps import Cut, Pause, Step
from simulator.output import deltas, logprobs
from simulator.output.items import Call, Message
from simulator.output.message_part import Part
from simulator.scripts.decision import Script
from simulator.scripts.plan import Failure
from simulator.wire.json import Json

_DONE = b"data: [DONE]\n\n"
_FINISH_REASONS = {"content_filter": "content_filter"}


class Reply:
    """`choices` is `n`; `stops` are the texts that end the answer."""

    def __init__(self, request: ResponsesRequest, scripted: Script, usage: Json, body: Json) -> None:
        self.id = f"chatcmpl-{secrets.token_hex(14)}"
        options = body.get("stream_options") or {}
        self._includes_usage = options.get("include_usage") is True
        self._pads = options.get("include_obfuscation") is not False
        self._wants_logprobs = body.get("logprobs") is True
        # A request of before tools gets one call, in the form of before tools (docs/mapping.md#legacy-functions).
        self._is_legacy = bool(body.get("functions"))
        self._choices = range(body.get("n") or 1)
        self._script = scripted
        self._usage = usage
        self._model = dated(request.model)
        self._created = int(time.time())
        self._messages = [item for item in scripted.items if isinstance(item, Message)]
        self._calls = [item for item in scripted.items if isinstance(item, Call)]
        stop = body.get("stop") or []
        self._text = _stopped(self._joined(refusal=False), [stop] if isinstance(stop, str) else stop)
        self._refusal = self._joined(refusal=True)

    def whole(self) -> Json:
        choices = [
            {"index": index, "message": self._message(), **self._logprobs(), "finish_reason": self._finish_reason()}
            for index in self._choices
        ]
        return {**self._envelope("chat.completion"), "choices": choices, "usage": self._usage}

    def steps(self) -> Iterator[Step]:
        framing = self._script.plan.framing
        for step in self._played():
            if isinstance(step, dict):
                yield from framing.writes(to_data_frame(step))
                if framing.repeats_deltas and step.get("choices"):
                    yield from framing.writes(to_data_frame(step))
            else:
                yield step
                if isinstance(step, Cut):
                    return
        if "no-terminal" not in self._script.plan.distortions:
            yield from framing.writes(_DONE)

    def _played(self) -> Iterator[Json | Pause | Cut]:
        deltas = [(index, delta) for index in self._choices for delta in self._deltas()]
        half = (len(deltas) + 1) // 2
        for index in self._choices:
            yield self._chunk(index, {"role": "assistant", "content": "", "refusal": None}, None)
        for position, (index, delta) in enumerate(deltas):
            if position == half:
                yield from self._interruptions()
            yield self._chunk(index, delta, None)
        if half >= len(deltas):
            yield from self._interruptions()
        if "no-terminal" in self._script.plan.distortions:
            return
        for index in self._choices:
            yield self._chunk(index, {}, self._finish_reason())
        if self._includes_usage:
            usage = None if "no-usage" in self._script.plan.distortions else self._usage
            yield {**self._envelope("chat.completion.chunk"), "choices": [], "usage": usage, **self._padding("")}

    def _interruptions(self) -> Iterator[Json | Pause | Cut]:
        for step in self._script.plan.interruptions:
            if isinstance(step, Failure):
                yield {"error": {"message": step.message, "type": "server_error", "param": None, "code": step.code}}
                yield Cut()
            else:
                yield step

    def _deltas(self) -> Iterator[Json]:
        yield from ({"content": word} for word in self._cut(self._text))
        yield from ({"refusal": word} for word in self._cut(self._refusal))
        yield from self._legacy_deltas() if self._is_legacy else self._call_deltas()

    def _legacy_deltas(self) -> Iterator[Json]:
        for call in self._calls[:1]:
            yield {"function_call": {"name": call.name, "arguments": ""}}
            yield from ({"function_call": {"arguments": piece}} for piece in deltas.code(call.arguments))

    def _call_deltas(self) -> Iterator[Json]:
        for index, call in enumerate(self._calls):
            key, inner = _inner(call)
            yield {
                "tool_calls": [{"index": index, "id": call.call_id, "type": key, key: {**inner, _ARGUMENTS[key]: ""}}]
            }
            for piece in [call.arguments] if self._script.plan.whole_deltas else deltas.code(call.arguments):
                yield {"tool_calls": [{"index": index, key: {_ARGUMENTS[key]: piece}}]}

    def _cut(self, text: str) -> list[str]:
        return ([text] if text else []) if self._script.plan.whole_deltas else deltas.words(text)

    def _message(self) -> Json:
        text = self._text or (None if self._calls or self._refusal else "")
        cited = [annotation for item in self._messages for part in item.parts for annotation in part.annotations]
        message: Json = {
            "role": "assistant",
            "content": text,
            "refusal": self._refusal or None,
            "annotations": [_nested(annotation) for annotation in cited if annotation["type"] == "url_citation"],
        }
        if self._calls and self._is_legacy:
            message["function_call"] = {"name": self._calls[0].name, "arguments": self._calls[0].arguments}
        elif self._calls:
            message["tool_calls"] = [_tool_call(call) for call in self._calls]
        if any(item.speaks for item in self._messages):
            audio = {"id": f"audio_{secrets.token_hex(12)}", "data": "UklGRg==", "expires_at": self._created + 3600}
            message["audio"] = {**audio, "transcript": self._text}
        return message

    def _finish_reason(self) -> str:
        reason = self._script.incomplete_reason
        if reason is not None:
            return _FINISH_REASONS.get(reason, "length")
        called = "function_call" if self._is_legacy else "tool_calls"
        return called if self._calls else "stop"

    def _logprobs(self) -> Json:
        if not self._wants_logprobs:
            return {}
        parts = [part for item in self._messages for part in item.parts]
        content = [entry for part in parts for entry in logprobs.full_logprobs(part, part.text)]
        return {"logprobs": {"content": content, "refusal": None}}

    def _chunk(self, index: int, delta: Json, finish_reason: str | None) -> Json:
        choice: Json = {"index": index, "delta": delta, "finish_reason": finish_reason}
        if self._wants_logprobs:
            choice["logprobs"] = self._delta_logprobs(delta)
        usage: Json = {"usage": None} if self._includes_usage else {}
        padding = self._padding(str(delta.get("content") or ""))
        return {**self._envelope("chat.completion.chunk"), "choices": [choice], **usage, **padding}

    def _delta_logprobs(self, delta: Json) -> Json | None:
        if not delta.get("content"):
            return None
        top = next((part.top_logprobs for item in self._messages for part in item.parts), 0)
        token = Part(delta["content"], top_logprobs=top)
        return {"content": logprobs.full_logprobs(token, token.text), "refusal": None}

    def _padding(self, text: str) -> Json:
        return {"obfuscation": deltas.pad(text)} if self._pads else {}

    def _joined(self, refusal: bool) -> str:
        return "".join(part.text for item in self._messages for part in item.parts if part.is_refusal is refusal)

    def _envelope(self, object: str) -> Json:
        return {
            "id": self.id,
            "object": object,
            "created": self._created,
            "model": self._model,
            "service_tier": "default",
            "system_fingerprint": None,
        }


_ARGUMENTS = {"function": "arguments", "custom": "input"}


def _inner(call: Call) -> tuple[str, Json]:
    return "custom" if call.is_custom else "function", {"name": call.name}


def _tool_call(call: Call) -> Json:
    key, inner = _inner(call)
    return {"id": call.call_id, "type": key, key: {**inner, _ARGUMENTS[key]: call.arguments}}


def _nested(annotation: Json) -> Json:
    """A url_citation in chat's form, where its fields stand under its own name (docs/mapping.md#annotations)."""
    return {
        "type": annotation["type"],
        annotation["type"]: {name: value for name, value in annotation.items() if name != "type"},
    }


def _stopped(text: str, stops: list[str]) -> str:
    """The text up to the first of its stops."""
    found = [position for stop in stops if (position := text.find(stop)) >= 0]
    return text[: min(found)] if found else text
