import hashlib

import pytest

from simulator.http.multipart import MultipartReader

CONTENT = b"\r\n--" + bytes(range(256)) * 20 + b"\r\n--edg"
BODY = (
    b'--edge\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
    b'--edge\r\ncontent-disposition: form-data; name="file"; filename="a.bin"\r\n'
    b"content-type: application/octet-stream\r\n\r\n" + CONTENT + b"\r\n--edge--\r\n"
)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100, len(BODY)])
def test_every_split_gives_the_same_parts(step: int) -> None:
    reader = MultipartReader("multipart/form-data; boundary=edge")
    for start in range(0, len(BODY), step):
        reader.feed(BODY[start : start + step])
    purpose, file = reader.parts
    assert reader.complete
    assert (purpose.name, purpose.filename, purpose.value) == ("purpose", None, b"user_data")
    assert (file.name, file.filename, file.size) == ("file", "a.bin", len(CONTENT))
    assert file.sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_a_body_without_its_end_is_not_complete() -> None:
    reader = MultipartReader('multipart/form-data; boundary="edge"')
    reader.feed(BODY[:-10])
    assert not reader.complete
