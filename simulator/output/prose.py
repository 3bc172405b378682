"""The words of unscripted answers: what to say, and which words of the user's text to reuse."""

import re

from simulator.context.reading import Media

_EXCERPT_LENGTH = 120
_SENTENCE_WORDS = 12
_WORD = re.compile(r"\w+")
_VOCABULARY = _WORD.findall(
    "every stream carries small pieces that arrive in order and a patient reader joins them into one clear answer "
    "while the clock moves on"
)
_PROPER = re.compile(r"[^\W\d_a-z][\w'’-]*(?:\s+[^\W\d_a-z][\w'’-]*)*")
_SENTENCE_START = re.compile(r"(?:^|[.!?:\n])[\s\"'“(]*$")
# Words that begin a request; only a sentence made of nothing else leaves no word to reuse.
_OPENERS = frozenset(
    _WORD.findall(
        "a add an and any are book call can check compare could create delete describe did do does explain fetch find "
        "for get give go how i if in is it let list look make may my now on open order play please remind run say "
        "search send set should show tell the then there this to translate update use was we what when where which "
        "who why will with would write you"
    )
)


def excerpt(text: str) -> str:
    """One line of the user's text, cut at a word when long."""
    line = " ".join(text.split())
    if len(line) <= _EXCERPT_LENGTH:
        return line
    return line[:_EXCERPT_LENGTH].rsplit(" ", 1)[0] + "…"


def answer(user_text: str, images: Media, files: Media) -> str:
    said = excerpt(user_text)
    opening = f"You said: “{said}”." if said else "There was no user text to answer."
    attached = "".join(_attachment(kind, media) for kind, media in (("image", images), ("file", files)))
    origin = "This answer comes from the local simulator, so it is scripted, but it travels as a real one."
    return f"{opening}{attached} {origin}"


def _attachment(kind: str, media: Media) -> str:
    if media.count == 0:
        return ""
    return f" I received {media.count} {kind}{'' if media.count == 1 else 's'} with {media.bytes} bytes in total."


def from_outputs(outputs: list[str]) -> str:
    """An answer that quotes what the tools returned."""
    if len(outputs) == 1:
        return f"The tool returned: {outputs[0]}"
    quoted = "; ".join(f"({number}) {output}" for number, output in enumerate(outputs, 1))
    return f"The {len(outputs)} tools returned: {quoted}"


def summary(user_text: str) -> str:
    """A reasoning summary: a bold heading and a paragraph, as OpenAI writes them."""
    return f"**Reading the request**\n\nThe user wrote “{excerpt(user_text)}”, so I choose what to answer."


def words(count: int) -> str:
    """Exactly `count` words in sentences of twelve."""
    chosen = [_VOCABULARY[position % len(_VOCABULARY)] for position in range(count)]
    for position in range(0, count, _SENTENCE_WORDS):
        chosen[position] = chosen[position].capitalize()
    for position in range(_SENTENCE_WORDS - 1, count, _SENTENCE_WORDS):
        chosen[position] += "."
    return " ".join(chosen)


def names_in(text: str) -> list[str]:
    """The capitalised names in a text, those inside a sentence before those that begin one."""
    inside: list[str] = []
    opening: list[str] = []
    for match in _PROPER.finditer(text):
        begins = _SENTENCE_START.search(text[: match.start()]) is not None
        name = _without_opener(match.group()) if begins else match.group()
        if name and name.lower() not in _OPENERS:
            (opening if begins and name == match.group() else inside).append(name)
    return inside + opening


def _without_opener(name: str) -> str:
    first, _, rest = name.partition(" ")
    return rest.lstrip() if first.lower() in _OPENERS else name
