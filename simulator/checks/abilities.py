"""What a model can do against what a request asks of it.

See docs/mapping.md#request-fields, #response-format, #fields-that-parley-adds.
"""

from typing import Any

from simulator.checks import models
from simulator.checks.models import Model
from simulator.rules.book import listed, refuse
from simulator.wire.json import Json

_SAMPLING = ("temperature", "top_p", "top_logprobs")
_ENCRYPTED = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"


def check_abilities(params: Json) -> None:
    """Raise the refusal of the first thing in the parameters (without nulls) that their model cannot do."""
    name = params["model"]
    model = models.find(name)
    if models.RESPONSES not in model.endpoints:
        raise refuse("not_for_responses", model=name)
    reasoning = _given(params.get("reasoning", {}))
    _check_reasoning(params, reasoning, model)
    include = params.get("include", ())
    if _ENCRYPTED in include and not model.can_reason:
        raise refuse("encrypted_include")
    if model.can_reason and reasoning.get("effort") != "none":
        for param in _SAMPLING:
            if param in params and not (param == "top_logprobs" and params[param] == 0):
                raise refuse("unsupported_parameter", param=param)
        if _LOGPROBS in include:
            raise refuse("logprobs_include")
    text = params.get("text", {})
    _check_value("text.verbosity", text.get("verbosity"), model.verbosities, name)
    if (text.get("format") or {}).get("type") == "json_schema" and not model.schemas:
        raise refuse("schemas_unsupported", param="text.format")


def _check_reasoning(params: Json, reasoning: Json, model: Model) -> None:
    if model.can_reason:
        _check_value("reasoning.effort", reasoning.get("effort"), model.efforts, params["model"])
    elif reasoning or params.get("reasoning") == {}:
        named = next(iter(reasoning), None)
        raise refuse("unsupported_parameter", param=f"reasoning.{named}" if named else "reasoning")


def _check_value(param: str, value: Any, supported: tuple[str, ...], model: str) -> None:
    if value is not None and value not in supported:
        raise refuse("unsupported_value", param=param, value=value, model=model, supported=listed(supported))


def _given(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}
