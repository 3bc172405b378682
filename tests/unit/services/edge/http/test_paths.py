"""Which path goes upstream: below the base URL, and read by both sides alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from libs.translate.errors import InvalidRequest
from services.edge.http import paths

BASE = "http://up:1/base/v1"


def scope(raw: str) -> dict[str, object]:
    path = raw.encode("latin-1")
    return {"method": "GET", "raw_path": path, "path": URL(raw, encoded=True).path if raw.startswith("/") else raw}


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        ("/v1/files", "/files"),
        ("/v1/batches/b%20c", "/batches/b%20c"),
        ("/v1/models/ft:gpt-4o:org::x1", "/models/ft:gpt-4o:org::x1"),
        ("/v1/models/org%2Fmodel", "/models/org%2Fmodel"),
        ("/v1/models/org/model", "/models/org/model"),
        ("/v1/%66iles/file_%31", "/files/file_1"),
        ("/v1/responses/%72esp_1", "/responses/resp_1"),
        ("/v1/files/a+b=c~d", "/files/a+b=c~d"),
        ("/v1/files/%C3%A9", "/files/%C3%A9"),
        ("/v1/files/v1/content", "/files/v1/content"),
        ("/v1/files/...", "/files/..."),
    ],
)
def test_a_path_goes_up_in_one_form(raw: str, sent: str) -> None:
    assert paths.below(scope(raw)) == sent


@pytest.mark.parametrize(
    "raw",
    [
        *("/v1", "/v1/", "//v1/files", "/v1//files", "/v1/files/", "/v1/files//x", "/V1/files", "/files", "files", ""),
        *("/v1%2F@host:1/x", "/v1%2Ffiles", "/v%31/files", "/v1.5/files", "/x/v1/files", "/v1@host/x", "/v12/files"),
        *("/v1/v1/files", "/v1/v1", "/v1/%76%31/files"),
        *("/v1/..", "/v1/.", "/v1/../x", "/v1/./files", "/v1/%2e%2e/x", "/v1/.%2E/x", "/v1/files/%2e", "/v1/a/../b"),
        *("/v1/files/..%2fx", "/v1/files/a%2Fb", "/v1/files%2Fb", "/v1/%2Ffiles", "/v1/files/%2F%2Fhost"),
        *("/v1/models/%2e%2e%2fx", "/v1/models/a%2f..", "/v1/models/%2Fa", "/v1/models/a%2F%2Fb", "/v1/models/a%5Cb"),
        *("/v1/files/a\\b", "/v1/files/%5C..%5Cx", "/v1\\files", "/v1/\\host"),
        *("/v1/files/%252e%252e", "/v1/files/..%252f", "/v1/files/a%25b", "/v1/files/a%", "/v1/files/%zz"),
        *("/v1/files/a;b", "/v1/files/..;/x", "/v1/files;x=1/b", "/v1/files/a%3Bb"),
        *("/v1/files/a%3Fb=1", "/v1/files/a%23b", "/v1/files/a#b"),
        *("/v1/files/%00", "/v1/files/a%0d%0aX:y", "/v1/files/%7f", "/v1/files/%c2%80", "/v1/files/\x01", "/v1/%09"),
        *("/v1/files/%ff", "/v1/files/%ed%a0%80", "/v1/files/" + "a" * 513),
    ],
)
def test_any_other_path_is_refused(raw: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        paths.below(scope(raw))
    assert (refused.value.status, refused.value.error.code) == (404, None)


PIECE = st.sampled_from(
    [
        "/",
        "//",
        "v1",
        "/v1/",
        "..",
        ".",
        "%2e",
        "%2F",
        "%5c",
        "\\",
        "@",
        ":",
        "a",
        "models",
        "%25",
        ";",
        "?",
        "#",
        "%00",
    ]
)


@given(st.lists(PIECE | st.text(max_size=2), max_size=8).map("".join))
def test_no_path_leaves_the_base_url(rest: str) -> None:
    raw = ("/v1" + rest).encode("utf-8", "replace")
    try:
        sent = paths.below({"method": "GET", "raw_path": raw, "path": rest})
    except InvalidRequest:
        return
    url = URL(BASE + sent, encoded=True)
    assert (url.scheme, url.host, url.port) == ("http", "up", 1)
    assert url.raw_path == "/base/v1" + sent
    assert URL(BASE + sent).path.startswith("/base/v1/")
    assert sent == paths.below({"method": "GET", "raw_path": b"/v1" + sent.encode(), "path": sent})


@pytest.mark.parametrize("id_", ["resp_1", "a:b@c", "résumé", "a b", "...", "=+~"])
def test_an_id_is_one_segment(id_: str) -> None:
    segment = paths.to_segment(id_)
    assert segment is not None
    assert URL("http://x/" + segment, encoded=True).parts == ("/", id_)


@pytest.mark.parametrize(
    "id_", ["", ".", "..", "a/b", "a\\b", "a?b", "a#b", "a%b", "a;b", "\x00", "a\x85", "\ud800", "x" * 513]
)
def test_what_cannot_be_an_id_is_none(id_: str) -> None:
    assert paths.to_segment(id_) is None


def test_an_id_of_the_upstream_s_own_may_hold_a_slash() -> None:
    assert paths.to_segment("resp_a/b==", slashes=True) == "resp_a%2Fb=="
    for id_ in ("a/../b", "/a", "a/", "a//b", "./a"):
        assert paths.to_segment(id_, slashes=True) is None


@pytest.mark.parametrize("path", ["/chat/completions", "//chat/completions", "/v1//files", "/v1/v1/x", "/V1/x", "/"])
def test_a_base_url_that_ends_wrongly_is_told_so(path: str) -> None:
    assert "ends in '/v1'" in paths.invalid_url({"method": "POST", "path": path})


def test_a_path_that_begins_well_is_told_nothing_more() -> None:
    assert paths.invalid_url({"method": "GET", "path": "/v1/a/b"}) == "Invalid URL (GET /v1/a/b)"


@pytest.mark.parametrize(
    ("told", "followed"),
    [
        ("http://up:1/base/v1/files/x?a=b", "/v1/files/x?a=b"),
        ("/base/v1/files/", "/v1/files/"),
        ("other?x=1", "/v1/files/other?x=1"),
        ("//up:1/base/v1/x", "/v1/x"),
        ("https://blob.example/x?sig=1", "https://blob.example/x?sig=1"),
        ("//blob.example/x", "//blob.example/x"),
        ("http://up:1/admin", None),
        ("/admin", None),
        ("../../../admin", None),
        ("http://[", None),
    ],
)
def test_a_redirect_stays_below_the_base_url(told: str, followed: str | None) -> None:
    assert paths.location(told, URL(BASE + "/files/x"), BASE + "/") == followed
