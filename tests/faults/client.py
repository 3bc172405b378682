"""A chat client of the scenarios' own: it tells how far an answer came, and retries nothing."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import msgspec

from tests.support.samples import MODEL

Json = dict[str, Any]

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
CONVERSATIONS = "/v1/parley/conversations"
KEY = "sk-faults"
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)


class Answer(msgspec.Struct, kw_only=True):
    """How a call ended. `status` 0: the connection broke before any; `whole`: answered to its end.

    `code` is the error's, of a frame in the stream too; `calls` are the tool calls, as a history holds them.
    """

    status: int = 0
    headers: dict[str, str] = {}
    id: str = ""
    text: str = ""
    calls: list[Json] = []
    code: str = ""
    message: str = ""
    whole: bool = False
    left: bool = False

    @property
    def request_id(self) -> str:
        return self.headers.get("x-request-id", "")

    @property
    def continuity(self) -> str:
        return self.headers.get("x-parley-continuity", "")

    def assistant(self) -> Json:
        """The answer as a client echoes it."""
        calls = {"tool_calls": self.calls} if self.calls else {}
        return {"role": "assistant", "content": self.text or None, **calls}


# Told of the answer so far, whenever some came; True means that the client leaves.
Watch = Callable[[Answer], bool]


def chat_body(messages: list[Json], **fields: Any) -> bytes:
    """Return a chat request."""
    return json.dumps({"model": MODEL, "messages": messages, **fields}).encode()


def _stays(answer: Answer) -> bool:
    return False


class Client:
    """Connections to all edges, for the length of the block."""

    async def __aenter__(self) -> "Client":
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=_TIMEOUT)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(
        self,
        port: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        path: str = CHAT,
        watch: Watch = _stays,
    ) -> Answer:
        """Make one call; whatever becomes of it is in the answer."""
        sent = {"authorization": f"Bearer {KEY}", "content-type": "application/json", **(headers or {})}
        answer = Answer()
        try:
            async with self._session.post(f"http://127.0.0.1:{port}{path}", data=body, headers=sent) as got:
                answer.status, answer.headers = got.status, {name.lower(): value for name, value in got.headers.items()}
                if got.content_type == "text/event-stream":
                    await self._stream(got, answer, watch)
                else:
                    _read(answer, await got.read())
                if answer.left:
                    got.close()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            answer.whole, answer.code = False, answer.code or f"connection: {type(error).__name__}"
        return answer

    async def erase(self, port: int, name: str) -> Answer:
        """Have a conversation erased."""
        url = f"http://127.0.0.1:{port}{CONVERSATIONS}/{name}"
        answer = Answer()
        try:
            async with self._session.delete(url, headers={"authorization": f"Bearer {KEY}"}) as got:
                answer.status = got.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            answer.code = f"connection: {type(error).__name__}"
        return answer

    async def _stream(self, got: aiohttp.ClientResponse, answer: Answer, watch: Watch) -> None:
        parts: dict[int, Json] = {}
        async for line in got.content:
            if line.startswith(b"data: "):
                _feed(answer, parts, line[6:].strip())
                if watch(answer):
                    answer.left = True
                    return


def _read(answer: Answer, data: bytes) -> None:
    """Take an answer that came in one piece."""
    try:
        told = json.loads(data)
    except ValueError:
        answer.code = "no JSON"
        return
    if answer.status != 200:
        error = told.get("error") or {}
        answer.code, answer.message = str(error.get("code")), str(error.get("message"))
        return
    answer.id, answer.whole = told["id"], True
    if "choices" in told:
        message = told["choices"][0]["message"]
        answer.text, answer.calls = message.get("content") or "", message.get("tool_calls") or []


def _feed(answer: Answer, parts: dict[int, Json], data: bytes) -> None:
    """Take one event of a stream, of either surface."""
    if data == b"[DONE]":
        answer.whole = answer.code == ""
        return
    event = json.loads(data)
    if "error" in event and event["error"] is not None:
        answer.code = str(event["error"].get("code"))
        return
    if "type" in event:
        answer.whole = event["type"] == "response.completed"
        answer.id = answer.id or (event.get("response") or {}).get("id", "")
        return
    answer.id = event["id"]
    for choice in event["choices"]:
        delta = choice["delta"]
        answer.text += delta.get("content") or ""
        for call in delta.get("tool_calls") or ():
            if call["index"] not in parts:
                function = {"name": call["function"]["name"], "arguments": ""}
                parts[call["index"]] = {"id": call["id"], "type": "function", "function": function}
                answer.calls = list(parts.values())
            parts[call["index"]]["function"]["arguments"] += call["function"].get("arguments") or ""


async def wait_for_retry(answer: Answer, tries: int) -> None:
    """Wait as OpenAI's SDKs do: as long as the answer says, else a little longer with each try."""
    told = answer.headers.get("retry-after", "")
    seconds = float(told) if told.replace(".", "", 1).isdecimal() else min(0.5 * 2.0**tries, 8.0)
    await asyncio.sleep(min(seconds, 60.0))


def may_retry(answer: Answer) -> bool:
    """Return whether OpenAI's SDKs would try again."""
    told = answer.headers.get("x-should-retry")
    if told is not None and answer.status != 200:
        return told == "true"
    return answer.status in (0, 200, 408, 409, 429) or answer.status >= 500
