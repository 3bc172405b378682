"""What of OpenAI's API is relayed with Parley's own key: one row for each path (API_REFERENCE.md#with-parleys-own-key).

A path that is not here, or not with this method, is refused there: its answer might be another caller's.
A row is *free* where it names no id in its path; *by id* where the first `{...}` names what must have been
made for the caller, `kind` says of which sort; what stands below that belongs to it. LISTS and REFUSED are
the rest of the API.
"""

from collections.abc import Sequence
from urllib.parse import unquote

import msgspec

from services.edge.ownership.id_kinds import IdType


class Row(msgspec.Struct, frozen=True):
    """One path below /v1. `id_type` is of the first `{...}` in it; None: free.

    `makes` is the kind of the `id` in its answer. With `items` the answer holds items that the upstream made. With
    `names` the body is always read, for the ids that it names; with `form` it may be a form, which streams unread.
    """

    methods: tuple[str, ...]
    path: str
    id_type: IdType | None = None
    makes: IdType | None = None
    items: bool = False
    names: bool = False
    form: bool = False


GET, POST, DELETE = ("GET",), ("POST",), ("DELETE",)
ONE = ("GET", "DELETE")
ALL = ("GET", "POST", "DELETE")

ROWS = (
    # What the Responses API keeps.
    Row(POST, "/responses/compact", makes="response", items=True, names=True),
    Row(POST, "/responses/input_tokens", names=True),
    Row(ONE, "/responses/{response_id}", "response", items=True, names=True),
    Row(POST, "/responses/{response_id}/cancel", "response", items=True, names=True),
    Row(GET, "/responses/{response_id}/input_items", "response"),
    Row(POST, "/conversations", makes="conversation", names=True),
    Row(ALL, "/conversations/{conversation_id}", "conversation", names=True),
    Row(("GET", "POST"), "/conversations/{conversation_id}/items", "conversation", items=True, names=True),
    Row(ONE, "/conversations/{conversation_id}/items/{item_id}", "conversation"),
    # What may be shared.
    Row(POST, "/files", makes="file", form=True),
    Row(ONE, "/files/{file_id}", "file"),
    Row(GET, "/files/{file_id}/content", "file"),
    Row(POST, "/vector_stores", makes="vector_store"),
    Row(ALL, "/vector_stores/{vector_store_id}", "vector_store"),
    Row(POST, "/vector_stores/{vector_store_id}/search", "vector_store"),
    Row(("GET", "POST"), "/vector_stores/{vector_store_id}/files", "vector_store"),
    Row(ALL, "/vector_stores/{vector_store_id}/files/{file_id}", "vector_store"),
    Row(GET, "/vector_stores/{vector_store_id}/files/{file_id}/content", "vector_store"),
    Row(POST, "/vector_stores/{vector_store_id}/file_batches", "vector_store"),
    Row(GET, "/vector_stores/{vector_store_id}/file_batches/{batch_id}", "vector_store"),
    Row(POST, "/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel", "vector_store"),
    Row(GET, "/vector_stores/{vector_store_id}/file_batches/{batch_id}/files", "vector_store"),
    Row(POST, "/containers", makes="container"),
    Row(ONE, "/containers/{container_id}", "container"),
    Row(("GET", "POST"), "/containers/{container_id}/files", "container", form=True),
    Row(ONE, "/containers/{container_id}/files/{file_id}", "container"),
    Row(GET, "/containers/{container_id}/files/{file_id}/content", "container"),
    Row(POST, "/skills", makes="skill", form=True),
    Row(ALL, "/skills/{skill_id}", "skill"),
    Row(GET, "/skills/{skill_id}/content", "skill"),
    Row(("GET", "POST"), "/skills/{skill_id}/versions", "skill", form=True),
    Row(ONE, "/skills/{skill_id}/versions/{version}", "skill"),
    Row(GET, "/skills/{skill_id}/versions/{version}/content", "skill"),
    # Work that takes long, and what it makes.
    Row(POST, "/uploads", makes="upload"),
    Row(POST, "/uploads/{upload_id}/parts", "upload", form=True),
    Row(POST, "/uploads/{upload_id}/complete", "upload"),
    Row(POST, "/uploads/{upload_id}/cancel", "upload"),
    Row(POST, "/batches", makes="batch", names=True),
    Row(GET, "/batches/{batch_id}", "batch"),
    Row(POST, "/batches/{batch_id}/cancel", "batch"),
    Row(POST, "/fine_tuning/jobs", makes="fine_tuning_job"),
    Row(GET, "/fine_tuning/jobs/{fine_tuning_job_id}", "fine_tuning_job"),
    Row(POST, "/fine_tuning/jobs/{fine_tuning_job_id}/cancel", "fine_tuning_job"),
    Row(POST, "/fine_tuning/jobs/{fine_tuning_job_id}/pause", "fine_tuning_job"),
    Row(POST, "/fine_tuning/jobs/{fine_tuning_job_id}/resume", "fine_tuning_job"),
    Row(GET, "/fine_tuning/jobs/{fine_tuning_job_id}/events", "fine_tuning_job"),
    Row(GET, "/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints", "fine_tuning_job"),
    Row(POST, "/videos", makes="video", form=True),
    Row(ONE, "/videos/{video_id}", "video"),
    Row(GET, "/videos/{video_id}/content", "video"),
    Row(POST, "/videos/{video_id}/remix", "video", makes="video"),
    # What keeps nothing.
    Row(GET, "/models/{model}"),
    Row(POST, "/embeddings"),
    Row(POST, "/completions"),
    Row(POST, "/moderations"),
    Row(POST, "/audio/speech"),
    Row(POST, "/audio/transcriptions", form=True),
    Row(POST, "/audio/translations", form=True),
    Row(POST, "/images/generations"),
    Row(POST, "/images/edits", form=True),
    Row(POST, "/images/variations", form=True),
    Row(POST, "/fine_tuning/alpha/graders/run"),
    Row(POST, "/fine_tuning/alpha/graders/validate"),
)

# Lists cannot be filtered by who made what is in them.
_MADE = ("responses", "conversations", "files", "vector_stores", "containers", "skills", "uploads", "batches")
LISTS = frozenset(f"/{name}" for name in (*_MADE, "fine_tuning/jobs", "videos"))
LISTED = "it lists what every caller of this key has made"
ADMIN = "it is about the account, not about a call"
SECRETS = "it gives out a key, or a connection, that goes round Parley"
REMEMBERS = "it reaches what other callers of this key have made"
UNLISTED = "it is not among the paths whose answers belong to one caller"
# Paths of the API that no row has: why, for each and all below it.
REFUSED: dict[str, str] = {
    "/agents": REMEMBERS,
    "/assistants": REMEMBERS,
    "/threads": REMEMBERS,
    "/evals": REMEMBERS,
    "/decisions": REMEMBERS,
    "/content_provenance_checks": REMEMBERS,
    "/audio/voices": REMEMBERS,
    "/audio/voice_consents": REMEMBERS,
    "/videos/characters": REMEMBERS,
    "/videos/edits": REMEMBERS,
    "/videos/extensions": REMEMBERS,
    "/chatkit": SECRETS,
    "/realtime": SECRETS,
    "/live": SECRETS,
    "/vaults": SECRETS,
    "/models": ADMIN,
    "/fine_tuning/checkpoints": ADMIN,
    "/organization": ADMIN,
    "/projects": ADMIN,
    "/safety": ADMIN,
    "/webhook_endpoints": ADMIN,
    "/webhook_event_types": ADMIN,
}
# Of what a batch may be made: the lines of its file are not read, and may name no one's responses.
BATCHED = frozenset({"/v1/embeddings", "/v1/completions", "/v1/moderations", "/v1/images/generations"})


class Place(msgspec.Struct, frozen=True):
    """A path in the table; `id` is what stands for its first `{...}`, decoded."""

    row: Row
    id: str | None = None


def segments(path: str) -> list[str]:
    """Return the parts of a raw path below /v1, without its query, each decoded by itself."""
    return [unquote(part) for part in path.partition("?")[0].split("/")[1:]]


def find(method: str, parts: Sequence[str]) -> Place | None:
    """Return where the table has this path; None where it does not, or not with this method."""
    for row, wanted in _BY_LENGTH.get(len(parts), ()):
        if method in row.methods and all(map(_fits, wanted, parts)):
            named = (part for want, part in zip(wanted, parts, strict=True) if want.startswith("{"))
            return Place(row, next(named) if row.id_type is not None else None)
    return None


def why_refused(parts: Sequence[str]) -> str:
    """Return why a path that is not in the table is not relayed."""
    if "/" + "/".join(parts) in LISTS:
        return LISTED
    prefixes = ("/" + "/".join(parts[:count]) for count in range(min(len(parts), _LONGEST), 0, -1))
    return next((REFUSED[prefix] for prefix in prefixes if prefix in REFUSED), UNLISTED)


def _fits(wanted: str, part: str) -> bool:
    if not wanted.startswith("{"):
        return part == wanted
    if wanted == "{model}":  # which `paths.py` has read, and may hold a slash
        return bool(part)
    # What another server may read as more than one part, or as none, is no id.
    return part not in ("", ".", "..") and part.isascii() and part.isprintable() and not set(part) & _DELIMITERS


_LONGEST = max(prefix.count("/") for prefix in REFUSED)
_DELIMITERS = frozenset("/\\?#;%")
_BY_LENGTH: dict[int, list[tuple[Row, list[str]]]] = {}
for _row in ROWS:
    _wanted = _row.path.split("/")[1:]
    _BY_LENGTH.setdefault(len(_wanted), []).append((_row, _wanted))
