"""A chat client that keeps its history and sends it whole, as they all do, and what the upstream got of it."""

from typing import Any
from uuid import uuid4

import openai

from tests.support.cluster import Cluster
from tests.support.samples import MODEL
from tests.support.simulator import Json

ECHOED = {"content", "tool_calls"}  # the standard fields, and nothing else


class Dialogue:
    """One conversation; `name` None leaves it to be recognised by its history alone."""

    def __init__(
        self, client: openai.OpenAI, cluster: Cluster, name: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        self._client = client
        self._cluster = cluster
        self._headers = headers or {}
        self.name = name
        self.messages: list[Any] = []
        self.continuity = ""
        self.told = ""  # the name or token that the answer carried
        self.request_id = ""

    @classmethod
    def named(cls, client: openai.OpenAI, cluster: Cluster) -> "Dialogue":
        """Return one with a fresh name."""
        return cls(client, cluster, f"test-{uuid4()}")

    def fork(self) -> "Dialogue":
        """Return another one with the same name and history."""
        other = Dialogue(self._client, self._cluster, self.name, self._headers)
        other.messages = list(self.messages)
        return other

    def say(self, *messages: Any, headers: dict[str, str] | None = None, **fields: Any) -> str:
        """Add messages, ask, keep the answer as standard fields; return its text."""
        self.messages += messages
        return self.keep(self.ask(self.messages, headers=headers, **fields))

    def ask(self, messages: list[Any], *, headers: dict[str, str] | None = None, **fields: Any) -> Json:
        """Ask with these messages; return the assistant message as a client echoes it."""
        sent = {**self._headers, **(headers or {})}
        if self.name is not None:
            sent["x-parley-conversation"] = self.name
        raw = self._client.chat.completions.with_raw_response.create(
            model=fields.pop("model", MODEL), messages=messages, extra_headers=sent, **fields
        )
        self.continuity = raw.headers["x-parley-continuity"]
        self.told = raw.headers["x-parley-conversation"]
        self.request_id = raw.headers["x-request-id"]
        message = raw.parse().choices[0].message
        return {"role": "assistant", **message.model_dump(include=ECHOED, exclude_none=True)}

    def keep(self, answer: Json) -> str:
        """Add an answer to the history; return its text."""
        self.messages.append(answer)
        return answer.get("content") or ""

    def call_ids(self) -> list[str]:
        """The ids of the calls in the newest message."""
        return [call["id"] for call in self.messages[-1]["tool_calls"]]

    @property
    def reason(self) -> str:
        """Mode and reason of the newest answer, such as `replay/matched`."""
        mode, reason, *_ = self.continuity.split(";")
        return f"{mode}/{reason.removeprefix('reason=')}"

    @property
    def matched(self) -> int:
        """How many answers of the history were known."""
        return int(self.continuity.split(";")[2].removeprefix("matched="))

    @property
    def kept(self) -> bool:
        """Whether the next request may be only what is new."""
        return not self.continuity.endswith(";kept=no")

    def entry(self) -> Json:
        """What the upstream received last."""
        return self._cluster.simulator.ledger()[-1]

    def upstream(self) -> Json:
        """The body that the upstream received last."""
        body: Json = self.entry()["body"]
        return body

    def shape(self) -> list[str]:
        """The types of the input items that the upstream received last; a message by its role."""
        return [item["role"] if item["type"] == "message" else item["type"] for item in self.entry()["items"]]
