"""Several answers to one request, as the choices of one (translation reference A.7)."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from libs.schemas import events
from libs.schemas.completion import ChatCompletion, CompletionUsage, ModerationOut
from libs.schemas.output import Response
from libs.schemas.plan import StreamPlan
from libs.translate.errors import TranslationError
from libs.translate.moderation import merge_moderation, to_moderation
from libs.translate.stream import Chunks, ChunkStream
from libs.translate.usage import sum_usage, to_completion_usage


class FanOut:
    """Merges the streams of `plan.choices` answers into one.

    Nothing is returned until each answer has begun: until then the failure of any one can still be the
    HTTP status of all. Then come the role chunks in the order of the choices, what was held, and from
    there on everything as it comes; after the last choice, moderation and the sum of all usage. All chunks
    are named after the first answer. After an error every further `feed` raises it again.

    Stop sequences work as in `ChunkStream`, choice by choice; without the terminal event of each choice
    there is no usage chunk.
    """

    def __init__(self, plan: StreamPlan) -> None:
        self._plan = plan
        self._streams = [ChunkStream(plan, index) for index in range(plan.choices)]
        self._held: list[Chunks] | None = [[] for _ in self._streams]
        self._told = False
        self._failed: TranslationError | None = None

    @property
    def begun(self) -> bool:
        """Whether each answer has begun, and chunks go out."""
        return self._held is None

    @property
    def responses(self) -> list[Response | None]:
        """The terminal response of each choice; None where it is still to come."""
        return [stream.response for stream in self._streams]

    def stream(self, choice: int) -> ChunkStream:
        """Return the stream of one choice, to ask whether it is stopped and for its output; feed it only here."""
        return self._streams[choice]

    def feed(self, choice: int, event: events.StreamEvent) -> Chunks:
        """Return the chunks that one event of one answer becomes. Raises UpstreamFailed, then always."""
        if self._failed is not None:
            raise self._failed
        try:
            return self._merge(choice, self._streams[choice].feed(event))
        except TranslationError as error:
            self._failed = error
            raise

    def finish(self, choice: int) -> Chunks:
        """Return the chunks that end a choice which a stop sequence stopped."""
        return self._merge(choice, self._streams[choice].finish())

    def _merge(self, choice: int, chunks: Chunks) -> Chunks:
        chunks = [chunk for chunk in chunks if chunk.choices]  # moderation and usage are told once, for all
        if self._held is not None:
            self._held[choice] += chunks
            if not all(self._held):
                return []
            chunks, self._held = _interleaved(self._held), None
        first = self._streams[0]
        made = [first.named(chunk) for chunk in chunks]
        return [*made, *self._epilogue()]

    def _epilogue(self) -> Chunks:
        whole = [stream.response for stream in self._streams if stream.response is not None]
        if self._told or len(whole) < len(self._streams):
            return []
        self._told = True
        return self._streams[0].epilogue(_moderation(whole), _usage(whole))


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
