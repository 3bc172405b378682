"""One checked `POST /v1/responses` request: what the rest of the simulator may rely on."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from simulator.checks import models
from simulator.checks.abilities import check_abilities
from simulator.checks.fields import check_fields
from simulator.checks.input_items import to_items
from simulator.checks.models import Model
from simulator.checks.parameters import PARAMETERS, check_parameters
from simulator.checks.tools import check_text_format, check_tools
from simulator.rules.book import refuse
from simulator.wire.json import Json

_INPUT_SOURCES = ("previous_response_id", "conversation", "prompt")


@dataclass(frozen=True)
class ResponsesRequest:
    """`params` are the parameters as sent, without nulls; `items` the input in its normal form.

    `named_ids` are the ids that came with the items: the others were given their ids here.
    """

    params: Json
    items: list[Json]
    named_ids: frozenset[str] = field(default_factory=frozenset)

    @property
    def model(self) -> str:
        return str(self.params["model"])

    @property
    def abilities(self) -> Model:
        return models.find(self.model)

    @property
    def stream(self) -> bool:
        return bool(self.params.get("stream", False))

    @property
    def background(self) -> bool:
        return bool(self.params.get("background", False))

    @property
    def store(self) -> bool:
        return bool(self.params.get("store", True))

    @property
    def include(self) -> frozenset[str]:
        return frozenset(self.params.get("include", ()))

    @property
    def conversation_id(self) -> str | None:
        conversation = self.params.get("conversation")
        return conversation["id"] if isinstance(conversation, dict) else conversation

    @property
    def tools(self) -> list[Json]:
        return list(self.params.get("tools", ()))

    @property
    def tool_choice(self) -> Any:
        return self.params.get("tool_choice", "auto")

    @property
    def parallel_tool_calls(self) -> bool:
        return bool(self.params.get("parallel_tool_calls", True))

    @property
    def max_output_tokens(self) -> int | None:
        return self.params.get("max_output_tokens")

    @property
    def text_format(self) -> Json:
        return dict(self.params.get("text", {}).get("format") or {"type": "text"})

    @property
    def reasoning(self) -> Json:
        return dict(self.params.get("reasoning", {}))

    @property
    def obfuscate(self) -> bool:
        options = self.params.get("stream_options", {})
        return options.get("include_obfuscation") is not False

    @property
    def effort(self) -> str | None:
        return self.reasoning.get("effort") or self.abilities.default_effort

    @property
    def reasons(self) -> bool:
        """Whether this model thinks before it answers; effort `none` turns that off."""
        return self.effort not in (None, "none")


def to_request(body: Json) -> ResponsesRequest:
    """Check a decoded body. Raises the `ApiError` that OpenAI answers with for the first fault."""
    check_parameters(body)
    params = {name: value for name, value in body.items() if value is not None}
    models.find(params["model"])
    if "input" not in params and not any(source in params for source in _INPUT_SOURCES):
        raise refuse("missing_parameter", param="input")
    if "previous_response_id" in params and "conversation" in params:
        raise refuse("two_parents")
    items = to_items(params.get("input", []))
    check_tools(params.get("tools", []), params.get("tool_choice"))
    request = ResponsesRequest(params, items, _named_ids(params.get("input")))
    check_text_format(request.text_format)
    check_abilities(params)
    return request


def to_context_request(body: Json, names: Iterable[str]) -> ResponsesRequest:
    """Check a body that names a context and wants no answer; it has no parameters but `names`. Raises `ApiError`."""
    check_fields(body, {name: PARAMETERS[name] for name in names})
    params = {name: value for name, value in body.items() if value is not None}
    models.find(params["model"])
    if "previous_response_id" in params and "conversation" in params:
        raise refuse("two_parents")
    check_tools(params.get("tools", []), params.get("tool_choice"))
    return ResponsesRequest(params, to_items(params.get("input", [])))


def _named_ids(value: Any) -> frozenset[str]:
    items = value if isinstance(value, list) else ()
    return frozenset(item["id"] for item in items if item.get("id") is not None)
