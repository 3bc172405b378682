"""Rules that depend on the model: which endpoint it serves and what it can do."""

from collections.abc import Mapping

from simulator.rules.rule import KNOWN, Rule

MODEL: Mapping[str, Rule] = {
    "model_not_found": Rule(
        "A model name of a known family that does not exist, or one that begins with `missing-`",
        "recorded chat-unknown-model",
        "The model `{model}` does not exist or you do not have access to it.",
        code="model_not_found",
        status=404,
    ),
    "not_for_responses": Rule(
        "A chat-only model (search-preview, audio) on /v1/responses",
        f"docs/mapping.md#what-an-upstream-refuses; wording: {KNOWN}",
        "The requested model '{model}' cannot be used with the Responses API.",
        "model",
        "unsupported_model",
    ),
    "not_for_chat": Rule(
        "A Responses-only model (-pro, codex, deep-research, computer-use) on the native chat endpoint",
        f"docs/mapping.md#what-an-upstream-refuses; wording: {KNOWN}",
        "This model is only supported in v1/responses and not in v1/chat/completions.",
        "model",
        status=404,
    ),
    "unsupported_parameter": Rule(
        "`temperature`, `top_p` or `top_logprobs` to a model that reasons; `reasoning` to one that does not",
        "recorded reasoning-model-temperature-error; docs/mapping.md#what-an-upstream-refuses",
        "Unsupported parameter: '{param}' is not supported with this model.",
        "{param}",
    ),
    "unsupported_value": Rule(
        "A reasoning effort or a verbosity that the model does not know",
        f"docs/mapping.md#what-an-upstream-refuses; wording: {KNOWN}",
        "Unsupported value: '{value}' is not supported with the '{model}' model. Supported values are: {supported}.",
        "{param}",
        "unsupported_value",
    ),
    "encrypted_include": Rule(
        "`reasoning.encrypted_content` in include for a model that does not reason",
        f"docs/mapping.md#what-an-upstream-refuses; wording: {KNOWN}",
        "Encrypted content is not supported with this model.",
        "include",
    ),
    "logprobs_include": Rule(
        "`message.output_text.logprobs` in include for a model that reasons",
        KNOWN,
        "logprobs are not supported with reasoning models.",
        "include",
    ),
    "schemas_unsupported": Rule(
        "`json_schema` to a model that knows only `json_object`",
        "docs/mapping.md#response-format",
        "Invalid parameter: '{param}' of type 'json_schema' is not supported with this model.",
        "{param}",
    ),
    "context_length": Rule(
        "More input than the model's context window, without `truncation: auto`",
        "docs/mapping.md#what-an-upstream-refuses",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "input",
        "context_length_exceeded",
    ),
    "chat_tools_with_reasoning": Rule(
        "Function tools on the native chat endpoint for gpt-5.4 and later, unless `reasoning_effort` is `none`",
        "docs/mapping.md#why-calls-are-translated",
        "Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. "
        "To use function tools, use /v1/responses or set reasoning_effort to 'none'.",
        "reasoning_effort",
    ),
    "chat_max_tokens": Rule(
        "`max_tokens` on the native chat endpoint for a model that reasons",
        "recorded chat-bad-request",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "max_tokens",
        "unsupported_parameter",
    ),
    "chat_sampling": Rule(
        "Another `temperature` or `top_p` than 1 on the native chat endpoint for a model that reasons",
        f"docs/mapping.md#what-an-upstream-refuses; wording: {KNOWN}",
        "Unsupported value: '{param}' does not support {value} with this model. Only the default (1) value is "
        "supported.",
        "{param}",
        "unsupported_value",
    ),
    "chat_unsupported": Rule(
        "`stop`, penalties, `logit_bias` or `logprobs` on the native chat endpoint for a model that reasons",
        "docs/mapping.md#what-an-upstream-refuses",
        "Unsupported parameter: '{param}' is not supported with this model.",
        "{param}",
        "unsupported_parameter",
    ),
}
