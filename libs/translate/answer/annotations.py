"""Citations in the chat form: nested, and pointing into the whole content (docs/mapping.md#annotations)."""

from collections.abc import Mapping

from msgspec import Raw

from libs.schemas.wire.completion import Annotation, UrlCitation
from libs.schemas.wire.parts import OutputAnnotation, decode_annotation

TextKey = tuple[int, int]  # output index, content index


class Citations:
    """What is cited by which part of the text, until all of it is there."""

    def __init__(self) -> None:
        self._cited: dict[TextKey, list[Raw]] = {}

    def add(self, key: TextKey, annotation: Raw) -> None:
        """One more came."""
        self._cited.setdefault(key, []).append(annotation)

    def complete(self, key: TextKey, annotations: list[Raw] | None) -> None:
        """The part is complete: its own list counts, where it has one, before those that came one by one."""
        if annotations:
            self._cited[key] = list(annotations)

    def annotations(self, starts: Mapping[TextKey, int], end: int | None) -> list[Annotation]:
        """Return the annotations of parts that begin at `starts`, without those that reach beyond `end`."""
        made = (_annotation(raw, start) for key, start in sorted(starts.items()) for raw in self._cited.get(key, ()))
        return [one for one in made if one is not None and (end is None or one.url_citation.end_index <= end)]


def _annotation(raw: Raw, shift: int) -> Annotation | None:
    annotation = decode_annotation(raw)
    return None if annotation is None else to_annotation(annotation, shift)


def to_annotation(annotation: OutputAnnotation, shift: int) -> Annotation | None:
    """Return a citation moved by `shift` characters; None for types that chat lacks."""
    if annotation.type != "url_citation":
        return None
    return Annotation(
        url_citation=UrlCitation(
            start_index=(annotation.start_index or 0) + shift,
            end_index=(annotation.end_index or 0) + shift,
            url=annotation.url or "",
            title=annotation.title or "",
        )
    )
