"""The fields of a chat request: what becomes of each.

This is the one table of them. Their types are those of `ChatRequest`; whatever else is true of a field stands here.
"""

from typing import Any, Literal

import msgspec

# What becomes of a field that the Responses API has nothing for: it is left out and reported, refused with
# a 400, sent under its own name, or the whole request goes to the upstream's own chat endpoint.
Policy = Literal["drop", "refuse", "forward", "native"]

# A field goes up as it is (`same`), or something else is made of it (`translated`). Parley serves it by itself
# (`emulated`) unless a policy says otherwise, or reads it for itself alone (`parley`). A chat client cannot be served
# with it (`refused`), or its policy decides (`by_policy`). `part` is no field, but a content part that has a policy.
Fate = Literal["same", "translated", "emulated", "parley", "refused", "by_policy", "part"]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of one field.

    `to` is the path that it has upstream, where that is another. `neutral` are the values that ask for nothing; null
    does in every field. `policy` is the default; with `droppable` false none may drop it, for what is left would mean
    another thing. `shared` fields are set by Parley too, and `on_edge` ones are read before the request is converted.
    """

    fate: Fate
    to: str = ""
    neutral: tuple[Any, ...] = ()
    policy: Policy | None = None
    droppable: bool = True
    shared: bool = False
    on_edge: bool = False

    @property
    def takes_policy(self) -> bool:
        """Whether the configuration may say what becomes of it."""
        return self.policy is not None or self.fate == "emulated"


# In the order in which they are looked at, which is that of `ChatRequest`.
FIELDS: dict[str, Field] = {
    "model": Field(fate="translated", on_edge=True),
    "messages": Field(fate="translated", to="input"),
    "stream": Field(fate="translated", on_edge=True),
    "stream_options": Field(fate="translated"),
    # The names of one limit: the first that is given counts.
    "max_completion_tokens": Field(fate="translated", to="max_output_tokens"),
    "max_tokens": Field(fate="translated", to="max_output_tokens"),
    "temperature": Field(fate="translated"),
    "top_p": Field(fate="translated"),
    "frequency_penalty": Field(fate="by_policy", policy="drop", neutral=(0,)),
    "presence_penalty": Field(fate="by_policy", policy="drop", neutral=(0,)),
    "logit_bias": Field(fate="by_policy", policy="refuse", neutral=({},)),
    "logprobs": Field(fate="translated"),
    "top_logprobs": Field(fate="translated"),
    "n": Field(fate="emulated", neutral=(1,)),
    "seed": Field(fate="by_policy", policy="drop"),
    "stop": Field(fate="emulated", neutral=("", [])),
    "prediction": Field(fate="by_policy", policy="drop"),
    "modalities": Field(fate="by_policy", policy="native", neutral=(["text"], [])),
    "audio": Field(fate="by_policy", policy="native", on_edge=True),
    "tools": Field(fate="translated"),
    "tool_choice": Field(fate="translated"),
    "parallel_tool_calls": Field(fate="translated"),
    "functions": Field(fate="translated", to="tools"),
    "function_call": Field(fate="translated", to="tool_choice"),
    "web_search_options": Field(fate="translated", to="tools"),
    "response_format": Field(fate="translated", to="text.format"),
    "reasoning_effort": Field(fate="translated", to="reasoning.effort"),
    "verbosity": Field(fate="translated", to="text.verbosity"),
    "metadata": Field(fate="same"),
    "store": Field(fate="translated", shared=True, on_edge=True),
    "user": Field(fate="same", on_edge=True),
    "safety_identifier": Field(fate="same", on_edge=True),
    "prompt_cache_key": Field(fate="same"),
    "prompt_cache_options": Field(fate="same"),
    "prompt_cache_retention": Field(fate="same"),
    "service_tier": Field(fate="same"),
    "moderation": Field(fate="same"),
    "parley": Field(fate="parley", on_edge=True),
    "max_response_tokens": Field(fate="translated", to="max_output_tokens"),
    "max_output_tokens": Field(fate="translated"),
    # Fields of the Responses API.
    "access_programs": Field(fate="by_policy", policy="forward"),
    "background": Field(fate="refused", on_edge=True),
    "background_options": Field(fate="by_policy", policy="drop"),
    "context_management": Field(fate="by_policy", policy="forward"),
    "conversation": Field(fate="by_policy", policy="forward", droppable=False),
    "conversation_id": Field(fate="parley"),
    "image": Field(fate="by_policy", policy="forward"),
    "include": Field(fate="translated", policy="forward", shared=True),
    "instructions": Field(fate="translated", policy="forward", shared=True),
    "max_tool_calls": Field(fate="by_policy", policy="forward"),
    "previous_response_id": Field(fate="translated", policy="forward", droppable=False, shared=True),
    "prompt": Field(fate="by_policy", policy="forward"),
    "reasoning": Field(fate="translated", policy="forward"),
    "truncation": Field(fate="by_policy", policy="forward"),
    "input_audio": Field(fate="part", policy="native", droppable=False),
}
SHARED = tuple(name for name, field in FIELDS.items() if field.shared)
