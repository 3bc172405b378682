import pytest

from libs.schemas.wire.output import ImageItem
from libs.translate.answer.images import to_image


@pytest.mark.parametrize(
    ("result", "format_", "url"),
    [
        ("aGk=", None, "data:image/png;base64,aGk="),
        ("aGk=", "webp", "data:image/webp;base64,aGk="),
        ("aGk=", "svg", "data:image/svg+xml;base64,aGk="),
        ("https://img.example/1.png", "png", "https://img.example/1.png"),
        ("data:image/gif;base64,aGk=", None, "data:image/gif;base64,aGk="),
    ],
)
def test_an_image_is_a_url(result: str, format_: str | None, url: str) -> None:
    image = to_image(ImageItem(result=result, output_format=format_))
    assert image is not None and image.image_url.url == url


@pytest.mark.parametrize("result", [None, ""])
def test_an_image_that_failed_is_none(result: str | None) -> None:
    assert to_image(ImageItem(result=result)) is None
