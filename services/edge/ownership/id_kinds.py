"""The kinds of ids that upstreams give."""

from typing import Literal

IdType = Literal[
    "response",
    "conversation",
    "completion",
    "item",
    "audio",
    "file",
    "vector_store",
    "container",
    "prompt",
    "skill",
    "upload",
    "batch",
    "fine_tuning_job",
    "video",
]
# Often made elsewhere and shared on purpose: the `shared_ids` of an upstream say which.
SHAREABLE: frozenset[IdType] = frozenset({"file", "vector_store", "container", "prompt", "skill"})

# What may be with another upstream than the first, and so must be found again.
ROUTED: frozenset[IdType] = frozenset({"response", "conversation"})
