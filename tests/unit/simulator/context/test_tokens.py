from typing import Any

from simulator.checks.responses_request import to_request
from simulator.context.tokens import PromptCache


def measure(cache: PromptCache, *texts: str, account: str = "a") -> tuple[int, int]:
    items: Any = [{"role": "user", "content": text} for text in texts]
    request = to_request({"model": "gpt-5.5", "input": items})
    return cache.measure(request, request.items, account)


def test_a_repeated_prefix_of_a_thousand_tokens_is_cached() -> None:
    cache, long = PromptCache(), "word " * 2000
    assert measure(cache, long)[1] == 0
    total, cached = measure(cache, long, "and more")
    assert 1024 <= cached < total and cached % 128 == 0


def test_short_changed_and_foreign_prompts_are_not_cached() -> None:
    cache, long = PromptCache(), "word " * 2000
    measure(cache, long)
    assert measure(cache, "short")[1] == 0
    assert measure(cache, long + "!")[1] == 0
    assert measure(cache, long, account="b")[1] == 0


def test_four_characters_are_about_a_token() -> None:
    few, _ = measure(PromptCache(), "x" * 400)
    assert 100 <= few <= 110
