"""One checked `POST /v1/responses` request: what the rest of the simulator may rely on."""

from dataclasses import dataclass
from typing import Any

from deploy.local.simulator import errors
from deploy.local.simulator.input_items import to_items
from deploy.local.simulator.parameters import check_parameters
from deploy.local.simulator.tools import check_tools
from deploy.local.simulator.wire import Json

_INPUT_SOURCES = ("previous_response_id", "conversation", "prompt")
_NON_REASONING = ("4o", "4.1", "-chat")


@dataclass(frozen=True)
class ResponsesRequest:
    """`params` are the parameters as sent, without nulls; `items` the input in its normal form."""

    params: Json
    items: list[Json]

    @property
    def model(self) -> str:
        return str(self.params["model"])

    @property
    def stream(self) -> bool:
        return bool(self.params.get("stream", False))

    @property
    def store(self) -> bool:
        return bool(self.params.get("store", True))

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
    def reasons(self) -> bool:
        """Whether this model thinks before it answers; effort `none` turns that off."""
        named = any(mark in self.model for mark in _NON_REASONING)
        return not named and self.reasoning.get("effort") != "none"


def to_request(body: Json) -> ResponsesRequest:
    """Check a decoded body. Raises the `ApiError` that OpenAI answers with for the first fault."""
    check_parameters(body)
    params = {name: value for name, value in body.items() if value is not None}
    if params["model"].startswith("missing-"):
        raise errors.model_not_found(params["model"])
    if "input" not in params and not any(source in params for source in _INPUT_SOURCES):
        raise errors.missing_parameter("input")
    if "previous_response_id" in params and "conversation" in params:
        message = "Only one of 'previous_response_id' and 'conversation' may be given."
        raise errors.ApiError(message, param="previous_response_id", code="mutually_exclusive_parameters")
    check_tools(params.get("tools", []), params.get("tool_choice"))
    return ResponsesRequest(params, to_items(params.get("input", [])))
