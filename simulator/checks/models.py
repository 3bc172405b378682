"""Models: what each family can do, what it costs, and the dated name under which any model answers.

The first row of `FAMILIES` that fits decides. A name of OpenAI's families that fits no row does not exist; names of
no family are taken for a current reasoning model, so that a test can name one as it likes.
"""

import functools
import re
from dataclasses import dataclass, replace

from simulator.rules.book import refuse
from simulator.wire.json import Json

DATE_SUFFIX = "-2026-08-07"
_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_VERSION = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4}|latest)$")
_CREATED = 1786060800
_OPENAI = re.compile(r"(gpt|chatgpt|o\d|computer-use|codex)\b")

RESPONSES, CHAT = "responses", "chat"
_BOTH = frozenset({RESPONSES, CHAT})
_VERBOSITIES = ("low", "medium", "high")


@dataclass(frozen=True)
class Model:
    """One family's abilities. `efforts` is empty for models that never reason; prices are dollars a million tokens.

    `seals` tells that encrypted reasoning comes unasked, `phases` that messages carry one, `chat_tools` that functions
    work on the native chat endpoint although the model reasons.
    """

    efforts: tuple[str, ...] = ()
    default_effort: str | None = None
    endpoints: frozenset[str] = _BOTH
    verbosities: tuple[str, ...] = _VERBOSITIES
    schemas: bool = True
    seals: bool = False
    phases: bool = False
    chat_tools: bool = True
    audio: bool = False
    context_window: int = 400_000
    input_price: float = 1.25
    cached_price: float = 0.125
    output_price: float = 10.0
    requests_a_minute: int = 500
    tokens_a_minute: int = 200_000

    @property
    def can_reason(self) -> bool:
        return bool(self.efforts)


_CURRENT = Model(
    efforts=("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    default_effort="medium",
    seals=True,
    phases=True,
    chat_tools=False,
    context_window=1_050_000,
    input_price=2.5,
    cached_price=0.25,
    output_price=15.0,
)
_GPT_5 = Model(efforts=("minimal", "low", "medium", "high"), default_effort="medium")
_O_SERIES = Model(
    efforts=("low", "medium", "high"),
    default_effort="medium",
    verbosities=("medium",),
    context_window=200_000,
    input_price=2.0,
    cached_price=0.5,
    output_price=8.0,
)
_PLAIN = Model(verbosities=("medium",), context_window=128_000, input_price=2.5, cached_price=1.25, output_price=10.0)
_JSON_ONLY = replace(_PLAIN, schemas=False, context_window=16_385, input_price=0.5, cached_price=0.5, output_price=1.5)
_RESPONSES_ONLY = frozenset({RESPONSES})
_CHAT_ONLY = frozenset({CHAT})

FAMILIES: dict[str, Model] = {
    r"gpt-4o(-mini)?-search-preview|gpt-5-search-api": replace(_PLAIN, endpoints=_CHAT_ONLY),
    r"gpt-4o(-mini)?-audio-preview|gpt-audio(-1\.5|-mini)?": replace(_PLAIN, endpoints=_CHAT_ONLY, audio=True),
    r"computer-use-preview": replace(_PLAIN, endpoints=_RESPONSES_ONLY),
    r"gpt-(3\.5-turbo(-16k|-instruct)?|4|4-32k|4-turbo(-preview)?|4-vision-preview|4-\d{4}-preview)": _JSON_ONLY,
    r"gpt-4o(-mini)?|gpt-4\.5-preview|chatgpt-4o|gpt-\d(\.\d)?-chat": _PLAIN,
    r"gpt-4\.1(-mini|-nano)?": replace(_PLAIN, context_window=1_047_576, input_price=2.0, output_price=8.0),
    r"o\d(-mini)?-deep-research|o\d-pro": replace(_O_SERIES, endpoints=_RESPONSES_ONLY),
    r"o\d(-mini|-preview)?": _O_SERIES,
    r"gpt-(daybreak|rosalind)(-\w+)?": replace(_CURRENT, endpoints=_RESPONSES_ONLY),
    r"gpt-5-pro|gpt-5-codex(-mini)?|codex-mini": replace(_GPT_5, endpoints=_RESPONSES_ONLY),
    r"gpt-5(-mini|-nano)?": _GPT_5,
    r"gpt-5\.[1-3](-mini|-nano)?": replace(_GPT_5, efforts=("none", "low", "medium", "high", "xhigh"), seals=True),
    r"gpt-\d(\.\d+)?-(pro|codex(-\w+)?|cyber|[a-z]+-pro|[a-z]+-cyber)": replace(_CURRENT, endpoints=_RESPONSES_ONLY),
    r"gpt-(5\.\d+|[6-9](\.\d+)?)(-[a-z]+)*": _CURRENT,
    r"sim-plain(-\w+)*": _PLAIN,
    r"sim-small(-\w+)*": replace(_CURRENT, context_window=2_000),
}
_FAMILIES = [(re.compile(pattern), model) for pattern, model in FAMILIES.items()]

LISTED = (
    "gpt-6-astra",
    "gpt-5.6-sol",
    "gpt-5.5",
    "gpt-5.5-pro",
    "gpt-5.2",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-4.1",
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4o-search-preview",
    "gpt-audio",
    "gpt-4-turbo",
    "gpt-3.5-turbo",
    "o3",
    "o4-mini",
    "text-embedding-3-small",
)


@functools.lru_cache(1024)
def find(name: str) -> Model:
    """The abilities of a model by its name, dated or not. Raises the 404 of a name that does not exist."""
    if name.startswith("missing-"):
        raise refuse("model_not_found", model=name)
    family = _VERSION.sub("", name)
    for pattern, model in _FAMILIES:
        if pattern.fullmatch(family):
            return model
    if _OPENAI.match(name):
        raise refuse("model_not_found", model=name)
    return _CURRENT


def dated(model: str) -> str:
    """The name in an answer: the requested one with a date, unless it has one."""
    return model if _DATED.search(model) else model + DATE_SUFFIX


def to_model(name: str) -> Json:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "system"}


def rate_limits(model: Model, tokens: int) -> dict[str, str]:
    """The rate limit headers of one answer that took so many tokens."""
    return {
        "x-ratelimit-limit-requests": str(model.requests_a_minute),
        "x-ratelimit-limit-tokens": str(model.tokens_a_minute),
        "x-ratelimit-remaining-requests": str(model.requests_a_minute - 1),
        "x-ratelimit-remaining-tokens": str(max(0, model.tokens_a_minute - tokens)),
        "x-ratelimit-reset-requests": f"{60_000 // model.requests_a_minute}ms",
        "x-ratelimit-reset-tokens": f"{tokens * 60_000 // model.tokens_a_minute}ms",
    }
