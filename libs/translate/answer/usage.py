"""Token counts from the Responses form to the chat form (docs/mapping.md#usage)."""

from collections.abc import Sequence

from msgspec import UNSET

from libs.schemas.wire.completion import CompletionTokensDetails, CompletionUsage, PromptTokensDetails
from libs.schemas.wire.output import InputTokensDetails, OutputTokensDetails, ResponseUsage

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
        total_tokens=usage.total_tokens or usage.input_tokens + usage.output_tokens,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=given.cached_tokens or 0,
            cache_write_tokens=UNSET if written is None else written,
        ),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=made.reasoning_tokens or 0),
    )


def sum_usage(usages: Sequence[CompletionUsage]) -> CompletionUsage:
    """Return the tokens of several answers to one request: all of them were spent (docs/mapping.md#several-choices)."""
    given = [usage.prompt_tokens_details for usage in usages]
    made = [usage.completion_tokens_details for usage in usages]
    written = [details.cache_write_tokens for details in given if details.cache_write_tokens is not UNSET]
    return CompletionUsage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        total_tokens=sum(usage.total_tokens for usage in usages),
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=sum(details.cached_tokens for details in given),
            cache_write_tokens=sum(written) if written else UNSET,
        ),
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=sum(details.reasoning_tokens for details in made)
        ),
    )
