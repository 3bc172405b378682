import hashlib

from simulator.http.ledger import Ledger, compact


def test_long_strings_are_replaced_by_their_digest_wherever_they_are() -> None:
    long = "é" * 3000
    digest = {"sha256": hashlib.sha256(long.encode()).hexdigest(), "length": 3000}
    assert compact({"a": [long, "x" * 2048, 1]}) == {"a": [digest, "x" * 2048, 1]}


def test_secrets_are_shown_as_short_hashes_only() -> None:
    entry = Ledger().open("GET", "/", "", {"authorization": "Bearer sk-secret", "accept": "*/*"}, "a")
    assert entry.headers == {
        "authorization": f"Bearer sha256:{hashlib.sha256(b'sk-secret').hexdigest()[:8]}",
        "accept": "*/*",
    }


def test_the_latest_requests_are_kept_in_order() -> None:
    ledger = Ledger(limit=3)
    for number in range(5):
        ledger.open("GET", f"/{number}", "", {}, None)
    assert ledger.latest(2)["received"] == 5
    assert [entry.path for entry in ledger.latest(2)["requests"]] == ["/3", "/4"]
    assert [entry.number for entry in ledger.latest(9)["requests"]] == [2, 3, 4]


def test_the_bytes_of_bodies_are_bounded() -> None:
    ledger = Ledger(limit_bytes=2500)
    for _ in range(3):
        ledger.record_body(ledger.open("POST", "/", "", {}, None), "x" * 2000)
    assert len(ledger.latest(9)["requests"]) == 1
