"""Token counts from the Responses form to the chat form (translation reference B.5)."""

from msgspec import UNSET

from libs.schemas.chat import CompletionTokensDetails, CompletionUsage, PromptTokensDetails
from libs.schemas.responses import InputTokensDetails, OutputTokensDetails, ResponseUsage

_NO_INPUT_DETAILS = InputTokensDetails()
_NO_OUTPUT_DETAILS = OutputTokensDetails()


def to_completion_usage(usage: ResponseUsage) -> CompletionUsage:
    """Return `usage` as a chat client expects it; missing details count 0."""
    given = usage.input_tokens_details or _NO_INPUT_DETAILS
    made = usage.output_tokens_details or _NO_OUTPUT_DETAILS
    written = given.cache_write_tokens
    return CompletionUsage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=given.cached_tokens or 0,
            cache_write_tokens=UNSET if written is None else written,
        ),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=made.reasoning_tokens or 0),
    )
