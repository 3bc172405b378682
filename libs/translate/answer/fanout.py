"""Several answers to one request, as the choices of one (docs/mapping.md#several-choices)."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from libs.schemas.plan import StreamPlan
from libs.schemas.wire import events
from libs.schemas.wire.completion import ChatCompletion, CompletionUsage, ModerationOut
from libs.schemas.wire.output import Response
from libs.translate.answer.moderation import merge_moderation, to_moderation
from libs.translate.answer.stream import Chunks, ChunkStream, finish_at
from libs.translate.answer.usage import sum_usage, to_completion_usage


class ChoiceStream(ChunkStream):
    """The answer of one choice. What it returns may belong to others: their chunks go out when all have begun."""

    def __init__(self, merged: "FanOut", plan: StreamPlan, index: int) -> None:
        super().__init__(plan, index)
        self._merged = merged
        self._choice = index

    @property
    def is_last(self) -> bool:
        """Whether nothing follows of any other answer once this one has ended."""
        return self._merged.ended

    def feed(self, event: events.StreamEvent) -> Chunks:
        """Return what goes out for one event. Raises UpstreamFailed."""
        chunks = super().feed(event)
        if self.response is None:
            return self._merged.add(self._choice, chunks)
        chunks = [chunk for chunk in chunks if chunk.choices]  # moderation and usage are given once, for all
        first = finish_at(chunks)
        return [*self._merged.add(self._choice, chunks[:first]), *self._merged.end(self._choice, chunks[first:])]

    def finish(self) -> Chunks:
        """Return the chunks that end a choice which a stop sequence stopped."""
        return self._merged.add(self._choice, super().finish())

    def leave(self) -> Chunks:
        """End a stopped choice whose usage does not come; return what ends all, if it was the last."""
        return self._merged.end(self._choice, [])


class FanOut:
    """Merges the streams of `plan.choices` answers into one; feed each of `choices` with its events.

    Nothing is returned until each answer has begun: until then the failure of any one can still be the
    HTTP status of all. Then come the role chunks in the order of the choices, what was held, and from
    there on everything as it comes. The finish chunks come together after the last choice has ended, then
    moderation and the sum of all usage. All chunks are named after the first answer.

    Stop sequences work as in `ChunkStream`, choice by choice; without the terminal event of each choice
    there is no usage chunk.
    """

    def __init__(self, plan: StreamPlan) -> None:
        self.choices = [ChoiceStream(self, plan, index) for index in range(plan.choices)]
        self._held: list[Chunks] | None = [[] for _ in self.choices]
        self._ends: list[Chunks | None] = [None] * plan.choices

    @property
    def ended(self) -> bool:
        """Whether each choice has ended."""
        return all(end is not None for end in self._ends)

    def add(self, choice: int, chunks: Chunks) -> Chunks:
        """Take chunks of one choice; return what goes out."""
        if self._held is not None:
            self._held[choice] += chunks
            if not all(self._held):
                return []
            chunks, self._held = _interleaved(self._held), None
        return self._named(chunks)

    def end(self, choice: int, chunks: Chunks) -> Chunks:
        """Take what ends one choice; return what ends all of them, after the last."""
        self._ends[choice] = chunks
        if not self.ended:
            return []
        whole = [stream.response for stream in self.choices if stream.response is not None]
        finished = self._named([chunk for end in self._ends for chunk in end or ()])
        if len(whole) < len(self.choices):
            return finished
        return [*finished, *self.choices[0].epilogue(_moderation(whole), _usage(whole))]

    def _named(self, chunks: Chunks) -> Chunks:
        first = self.choices[0]
        return [first.named(chunk) for chunk in chunks]


def _interleaved(held: Sequence[Chunks]) -> Chunks:
    """The first chunk of each choice gives its role."""
    return [*(chunks[0] for chunks in held), *(chunk for chunks in held for chunk in chunks[1:])]


def _moderation(responses: Sequence[Response]) -> ModerationOut | None:
    given = (to_moderation(response.moderation) for response in responses)
    return merge_moderation([moderation for moderation in given if moderation is not None])


def _usage(responses: Sequence[Response]) -> CompletionUsage | None:
    usages = [to_completion_usage(response.usage) for response in responses if response.usage is not None]
    return sum_usage(usages) if len(usages) == len(responses) else None


def merge_completions(completions: Sequence[ChatCompletion]) -> ChatCompletion:
    """Return one completion with a choice for each, named after the first; usage is the sum of all."""
    first = completions[0]
    if len(completions) == 1:
        return first
    usages = [one.usage for one in completions if one.usage is not UNSET]
    moderations = [one.moderation for one in completions if one.moderation is not UNSET]
    return msgspec.structs.replace(
        first,
        choices=[
            msgspec.structs.replace(choice, index=index)
            for index, one in enumerate(completions)
            for choice in one.choices
        ],
        usage=sum_usage(usages) if len(usages) == len(completions) else UNSET,
        moderation=merge_moderation(moderations) or UNSET,
    )
