"""The clients: what each is called, what it can do, and how it names what goes wrong.

Each has a directory here with its script and its lock, and an environment of its own under var/clients.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

_OPENAI_ERRORS = {"bad_request": "BadRequestError", "rate_limited": "RateLimitError", "broken_stream": "APIError"}
_BASIC = (
    *("answer", "stream", "tools", "stream_tools", "continued", "stream_continued"),
    *("structured", "bad_request", "rate_limited", "broken_stream"),
)
_REASONING = ("reasoning", "stream_reasoning")


@dataclass(frozen=True)
class Client:
    """`packages` are what its users install; `shows` is what it tells of an answer besides the text.

    `changes_prompt` is false for one that keeps to the first system prompt of a conversation.
    """

    packages: tuple[str, ...]
    language: str
    directory: str
    errors: Mapping[str, str]  # scenario to the class of error
    scenarios: tuple[str, ...] = (*_BASIC, *_REASONING)
    shows: tuple[str, ...] = ("finish", "usage")
    arguments: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    changes_prompt: bool = True

    @property
    def id(self) -> str:
        """Its name in tests and records."""
        return f"{' + '.join(self.packages)} ({self.language})"

    @property
    def home(self) -> Path:
        """Its directory."""
        return HERE / self.directory

    @property
    def pinned(self) -> str:
        """The versions its lock names."""
        return " + ".join(self._pinned(package) for package in self.packages)

    def _pinned(self, package: str) -> str:
        if self.language == "Node":
            return str(json.loads((self.home / "package.json").read_text())["dependencies"][package])
        lock = self.home / "requirements.txt"
        text = (lock if lock.exists() else ROOT / "requirements.lock").read_text()
        found = re.search(rf"^{re.escape(package)}(?:\[\w+\])?==(\S+)", text, re.MULTILINE)
        assert found, f"{package} is not pinned"
        return found[1]


# The first one runs in the project's own environment.
CLIENTS = (
    Client(("openai",), "Python", "openai_python", _OPENAI_ERRORS),
    Client(("openai",), "Node", "openai_node", _OPENAI_ERRORS),
    Client(("openai-agents",), "Python", "openai_agents", _OPENAI_ERRORS, shows=("usage",)),
    Client(
        ("langchain-openai",),
        "Python",
        "langchain",
        {
            "bad_request": "OpenAIInvalidRequestError",
            "rate_limited": "OpenAIRateLimitError",
            "broken_stream": "APIError",
        },
        scenarios=_BASIC,
    ),
    Client(
        ("pydantic-ai-slim",),
        "Python",
        "pydantic_ai",
        {
            "bad_request": "ModelRequestRejectedError",
            "rate_limited": "ModelRateLimitError",
            "broken_stream": "ModelServerError",
        },
        scenarios=(*_BASIC, *_REASONING, "structured_native"),
    ),
    Client(
        ("instructor",),
        "Python",
        "instructor",
        {"bad_request": "InstructorRetryException", "rate_limited": "InstructorRetryException"},
        scenarios=(
            *("answer", "structured", "structured_native", "structured_as_json", "stream_structured"),
            *("asked_again", "asked_by_tool", "bad_request", "rate_limited"),
        ),
        shows=(),
    ),
    Client(
        ("litellm",),
        "Python",
        "litellm",
        {
            "bad_request": "BadRequestError",
            "rate_limited": "RateLimitError",
            "broken_stream": "MidStreamFallbackError",
        },
        environ={"LITELLM_LOCAL_MODEL_COST_MAP": "True"},  # else it fetches its price list at every start
    ),
    *(
        Client(
            ("ai", package),
            "Node",
            "ai_sdk",
            # In a stream it hands on what the server said, as it is.
            {"bad_request": "APICallError", "rate_limited": "APICallError", "broken_stream": "Object"},
            scenarios=scenarios,
            arguments=(package,),
        )
        for package, scenarios in (
            ("@ai-sdk/openai-compatible", (*_BASIC, *_REASONING)),
            ("@ai-sdk/openai", _BASIC),
        )
    ),
    Client(
        ("llama-index-llms-openai",),
        "Python",
        "llama_index",
        _OPENAI_ERRORS,
        scenarios=_BASIC,
        shows=("finish",),
    ),
    Client(
        ("llm",),
        "Python",
        "llm",
        {"bad_request": "exit 1", "rate_limited": "exit 1", "broken_stream": "exit 1"},
        scenarios=_BASIC,
        shows=("usage",),
        changes_prompt=False,
    ),
)
