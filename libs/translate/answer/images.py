"""Images that the model made, as the extension that chat clients know (docs/mapping.md#images-and-sound)."""

from libs.schemas.wire.completion import ImageOut, ImageUrlOut
from libs.schemas.wire.output import ImageItem

_SUBTYPES = {None: "png", "": "png", "svg": "svg+xml", "jpg": "jpeg"}  # where it is not the format's own name
_URLS = ("data:", "https://", "http://")


def to_image(item: ImageItem) -> ImageOut | None:
    """Return the image; None where there is none, because it failed."""
    if not item.result:
        return None
    if item.result.startswith(_URLS):
        return ImageOut(image_url=ImageUrlOut(url=item.result))
    subtype = _SUBTYPES.get(item.output_format, item.output_format)
    return ImageOut(image_url=ImageUrlOut(url=f"data:image/{subtype};base64,{item.result}"))
