"""Whatever conversations several tenants have, with edits, drops, branches, deltas and turns at the same time: the
upstream never sees an item of anybody else, never an invalid sequence, and the client never an error.

Answers are asked for in the typed form, which tells the ids of their items; what the client keeps of them are the
standard fields of a chat message.
"""

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.cluster import Cluster
from tests.support.samples import MODEL, WEATHER_TOOL, tool_result, user
from tests.support.simulator import HttpAnswer, Json, Simulator

Step = tuple[str, int, int]  # what to do, to which conversation, and a number to choose with

ACTIONS = ("say", "say", "say", "call", "call", "edit", "drop", "cut", "branch", "prompt", "delta", "twice", "again")
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5), st.integers(0, 99)), min_size=4, max_size=24)
_REQUESTS = count()


class Talk:
    """One conversation of one owner: a key, a project and an end user."""

    def __init__(self, owner: tuple[str, str, str], name: str | None, messages: list[Json]) -> None:
        self.owner = owner
        self.name = name
        self.messages = messages

    def settle(self, number: int) -> None:
        """Answer every call that is still open, as a client must."""
        calls = self.messages[-1].get("tool_calls", ()) if self.messages else ()
        self.messages += [tool_result(call["id"], f"{number} degrees") for call in calls]


class Given:
    """An answer that the upstream gave: whose it is, what came before it, and how the client saw it."""

    def __init__(self, owner: tuple[str, str, str], before: list[Json], message: Json) -> None:
        self.owner = owner
        self.before = [_canon(each) for each in before if each["role"] != "system"]
        self.message = _canon(message)


class World:
    """What happened so far, and the rules that every request upstream is held to."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._edge = Simulator(cluster.base_url, 0)  # the same way of calling, to another server
        self._tenant = uuid4().hex
        self._by_id: dict[str, Given] = {}  # by response id and by item id
        owners = [("a", "", ""), ("a", "", ""), ("b", "", ""), ("a", "proj_x", ""), ("a", "", "ann")]
        self.talks = [Talk(owner, f"c{k}" if k % 2 else None, []) for k, owner in enumerate(owners)]

    def do(self, action: str, which: int, number: int) -> None:
        """Do one step."""
        talk = self.talks[which % len(self.talks)]
        getattr(self, f"_{action}")(talk, number)

    # -- steps ------------------------------------------------------------------------------------

    def _say(self, talk: Talk, number: int) -> None:
        talk.settle(number)
        talk.messages.append(user(f"[[text: Word {number % 3}.]] What about {number % 4}?"))
        self._turn(talk)

    def _call(self, talk: Talk, number: int) -> None:
        talk.settle(number)
        if not talk.messages or number % 2:
            talk.messages.append(user("Weather?"))
        self._turn(talk, tool_choice="required")

    def _edit(self, talk: Talk, number: int) -> None:
        texts = [k for k, message in enumerate(talk.messages) if message["role"] in ("user", "tool")]
        if texts:
            k = texts[number % len(texts)]
            talk.messages[k] = {**talk.messages[k], "content": f"Edited {number}"}

    def _drop(self, talk: Talk, number: int) -> None:
        users = [k for k, message in enumerate(talk.messages) if message["role"] == "user"]
        if len(users) > 1:
            talk.messages = talk.messages[users[number % len(users)] :]

    def _cut(self, talk: Talk, number: int) -> None:
        answers = [k for k, message in enumerate(talk.messages) if message.get("content") and _is_answer(message)]
        if answers:
            k = answers[number % len(answers)]
            talk.messages[k] = {**talk.messages[k], "content": talk.messages[k]["content"][:3]}

    def _branch(self, talk: Talk, number: int) -> None:
        if len(self.talks) < 12:
            self.talks.append(Talk(talk.owner, talk.name if number % 2 else None, list(talk.messages)))

    def _prompt(self, talk: Talk, number: int) -> None:
        rest = [message for message in talk.messages if message["role"] != "system"]
        talk.messages = [{"role": "system", "content": f"Prompt {number % 3}"}, *rest]

    def _again(self, talk: Talk, number: int) -> None:
        """Regenerate the newest answer."""
        if talk.messages and _is_answer(talk.messages[-1]):
            talk.messages.pop()
            if talk.messages and talk.messages[-1]["role"] in ("user", "tool"):
                self._turn(talk)

    def _delta(self, talk: Talk, number: int) -> None:
        """Send what is new alone; that its parent cannot be continued is an answer too, and changes nothing."""
        if talk.name is None or not talk.messages:
            return
        talk.settle(number)
        delta = [*talk.messages[_newest_answer(talk) + 1 :], user(f"Delta {number}")]
        answer = self._post(talk, delta, {"x-parley-history": "delta"})
        assert answer.status in (200, 400), answer.body
        if answer.status == 400:
            assert answer.json()["error"]["code"] == "previous_response_not_found", answer.body
            talk.settle(number)

    def _twice(self, talk: Talk, number: int) -> None:
        """Two turns of the same conversation at the same time."""
        talk.settle(number)
        other = Talk(talk.owner, talk.name, [*talk.messages, user(f"Left {number}")])
        talk.messages.append(user(f"Right {number}"))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._turn, (talk, other)))

    # -- a turn -------------------------------------------------------------------------------------

    def _turn(self, talk: Talk, **fields: Any) -> None:
        sent = list(talk.messages)
        if not any(message["role"] != "system" for message in sent):
            return
        request = str(next(_REQUESTS))
        answer = self._post(talk, sent, {}, metadata={"request": request}, **fields)
        assert answer.status == 200, answer.body
        response = answer.json()
        message = _message(response)
        given = Given(talk.owner, sent, message)
        for entry in self._entries(request):
            self._check(entry, talk, sent)
        for id_ in (response["id"], *(item["id"] for item in response["output"])):
            self._by_id[id_] = given
        talk.messages = [*sent, message]

    def _post(self, talk: Talk, messages: list[Json], headers: dict[str, str], **fields: Any) -> HttpAnswer:
        key, project, end_user = talk.owner
        sent = {"content-type": "application/json", **headers}
        if project:
            sent["openai-project"] = project
        if talk.name is not None:
            sent["x-parley-conversation"] = talk.name
        body = {
            "model": MODEL,
            "messages": messages,
            "tools": [WEATHER_TOOL],
            "tool_choice": "none",
            "parley": {"format": "responses"},
            **({"user": end_user} if end_user else {}),
            **fields,
        }
        path = "/v1/chat/completions"
        return self._edge.call("POST", path, body, key=f"sk-{self._tenant}-{key}", headers=sent)

    def _entries(self, request: str) -> list[Json]:
        """What went up of one request, which its metadata tells."""
        entries = self._cluster.simulator.ledger(16)
        return [entry for entry in entries if (entry["body"] or {}).get("metadata") == {"request": request}]

    def _check(self, entry: Json, talk: Talk, sent: list[Json]) -> None:
        assert entry["status"] in (None, 200), f"refused: {entry['rule']}"
        history = [_canon(message) for message in sent if message["role"] != "system"]
        parent = entry["previous_response_id"]
        if parent is not None and parent in self._by_id:
            given = self._by_id[parent]
            assert given.owner == talk.owner
            whole = [*given.before, given.message]
            assert history[: len(whole)] == whole, "chained to what the client does not show"
        for item in entry["items"]:
            if "id" not in item:
                continue
            given = self._by_id[item["id"]]
            assert given.owner == talk.owner, "an item of somebody else"
            assert given.message in history, "an item of an answer that the client does not show"
            if not given.message[2]:  # without calls only the history tells it
                place = len(given.before)
                assert history[: place + 1] == [*given.before, given.message], "an item of another branch"


def _is_answer(message: Json) -> bool:
    return bool(message["role"] == "assistant")


def _newest_answer(talk: Talk) -> int:
    return max((k for k, message in enumerate(talk.messages) if _is_answer(message)), default=-1)


def _canon(message: Json) -> tuple[str, str, tuple[str, ...]]:
    ids = tuple(call["id"] for call in message.get("tool_calls", ()))
    return message["role"], (message.get("content") or "") + message.get("tool_call_id", ""), ids


def _message(response: Json) -> Json:
    """The chat message of a typed answer."""
    texts = [part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"]]
    calls = [
        {"id": item["call_id"], "type": "function", "function": {"name": item["name"], "arguments": item["arguments"]}}
        for item in response["output"]
        if item["type"] == "function_call"
    ]
    return {"role": "assistant", "content": "".join(texts) or None, **({"tool_calls": calls} if calls else {})}


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_no_conversation_ever_meets_another(cluster: Cluster, steps: list[Step]) -> None:
    world = World(cluster)
    for action, which, number in steps:
        world.do(action, which, number)


def test_a_long_random_walk(cluster: Cluster) -> None:
    chance = random.Random(5)
    world = World(cluster)
    for _ in range(200):
        world.do(chance.choice(ACTIONS), chance.randrange(12), chance.randrange(100))
