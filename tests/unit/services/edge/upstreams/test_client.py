"""Which headers of an upstream the client gets to see."""

from services.edge.upstreams.client import client_headers, relayed_headers

THEIRS = {
    "Content-Type": "application/json",
    "Content-Encoding": "gzip",
    "Transfer-Encoding": "chunked",
    "Connection": "keep-alive",
    "Set-Cookie": "a=b",
    "Server": "host-17",
    "Retry-After": "7",
    "x-ratelimit-remaining-tokens": "3",
    "x-request-id": "up-1",
    "openai-processing-ms": "12",
    "x-custom": "kept",
}


def test_chat_client_is_told_limits_retries_and_the_upstream_s_id() -> None:
    assert client_headers(THEIRS) == {
        "retry-after": "7",
        "x-ratelimit-remaining-tokens": "3",
        "openai-processing-ms": "12",
        "x-upstream-request-id": "up-1",
    }


def test_relayed_answer_keeps_all_but_what_belongs_to_the_connection() -> None:
    assert relayed_headers(THEIRS) == {
        "content-type": "application/json",
        "content-encoding": "gzip",
        "retry-after": "7",
        "x-ratelimit-remaining-tokens": "3",
        "openai-processing-ms": "12",
        "x-custom": "kept",
        "x-upstream-request-id": "up-1",
    }
