"""What is printed holds no credential: not a log line, not an error at the start, not what a command shows."""

import re

MASK = "***"

# Without one of these texts there is nothing to match, as in nearly every line; what is matched; what is written
# instead. Repeats are bounded: a log line may hold what a client sent.
_RULES = (
    # user:password@host, in a URL or alone; a password may hold another @, or a slash
    (("@",), re.compile(r"(?<=://)[^\s\"'\\<>]{0,512}@"), MASK + "@"),
    (("@",), re.compile(r"(?<![\w/@.:*-])[\w.%+-]{0,64}:[^/\s@:\"'\\<>]{1,256}@(?=[\w\[])"), MASK + "@"),
    # ?password=... of a URL
    (
        ("=",),
        re.compile(r"(?i)([?&;](?:[\w-]{0,32}(?:password|passwd|secret|token|key)|pwd|auth)=)[^&\s\"'\\;#]+"),
        r"\1" + MASK,
    ),
    (("earer ", "EARER "), re.compile(r"(\b[Bb](?:earer|EARER) )[^\s\"',;\\]+"), r"\1" + MASK),
    (("k-",), re.compile(r"\b(?:sk|rk|pk)-[\w*-]{4,}"), MASK),
)


def masked(text: str) -> str:
    """Return `text` with `***` in the place of what may be a credential: in URLs, bearer tokens, keys."""
    for needles, rule, instead in _RULES:
        if any(needle in text for needle in needles):
            text = rule.sub(instead, text)
    return text
