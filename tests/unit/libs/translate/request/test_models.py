import pytest

from libs.translate.request.models import is_chat_only, may_reason, takes_no_sampling, takes_schemas


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-3.5-turbo", "gpt-5-chat-latest", "ft:gpt-4o:x"])
def test_models_that_never_reason_are_known(model: str) -> None:
    assert not may_reason(model)


@pytest.mark.parametrize("model", ["gpt-5.6-sol", "o3", "my-own-model"])
def test_any_other_model_may_reason(model: str) -> None:
    assert may_reason(model)


@pytest.mark.parametrize("model", ["gpt-4", "gpt-4-turbo", "gpt-4-0613", "gpt-3.5-turbo", "ft:gpt-3.5-turbo:x"])
def test_models_without_schemas_are_known(model: str) -> None:
    assert not takes_schemas(model)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1", "gpt-5", "o3", "my-own-model"])
def test_any_other_model_takes_schemas(model: str) -> None:
    assert takes_schemas(model)


@pytest.mark.parametrize(
    ("model", "expected"),
    [("gpt-4o-search-preview", True), ("gpt-audio-mini", True), ("gpt-4o-audio-preview", True), ("gpt-5", False)],
)
def test_models_of_the_chat_endpoint_alone_are_known(model: str, expected: bool) -> None:
    assert is_chat_only(model) is expected


def test_models_that_reason_take_no_sampling() -> None:
    assert all(map(takes_no_sampling, ("o3", "o4-mini", "gpt-5", "gpt-5.6-sol", "gpt-6-luna")))
    assert not any(map(takes_no_sampling, ("gpt-4o", "gpt-5-chat-latest", "llama-4", "olmo")))
