"""Two upstreams, and keys that are rotated: an id goes to the upstream that owns it, and a conversation stays."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.support.cluster import Cluster, running_cluster
from tests.support.dialogue import Dialogue
from tests.support.queries import rows
from tests.support.samples import user
from tests.support.simulator import Simulator, started_simulator
from tests.support.wait import until

FIRST, SECOND = "gpt-5-mini", "gpt-5"
OLD_KEY, NEW_KEY = "sk-old-key", "sk-new-key"

CONFIG = """
[[upstream]]
name = "first"
base_url = "{first}"
auth = "key"
key_env = "UPSTREAM_KEY"
models = ["{model}"]

[[upstream]]
name = "second"
base_url = "{second}"
auth = "key"
key_env = "UPSTREAM_KEY"
models = ["*"]
"""


@pytest.fixture(scope="module")
def second() -> Iterator[Simulator]:
    """The other upstream."""
    with started_simulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("configuration") / "parley.toml"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, configuration: Path, second: Simulator) -> Iterator[Cluster]:
    """A cluster with two upstreams; `simulator` is the first."""
    with started_simulator() as first:
        configuration.write_text(CONFIG.format(first=first.base_url, second=second.base_url, model=FIRST))
        environ = {"PARLEY_CONFIG": str(configuration), "UPSTREAM_KEY": "sk-upstream"}
        with running_cluster(tmp_path_factory.mktemp("two"), environ=environ) as cluster:
            cluster.simulator = first
            yield cluster


@pytest.fixture
def client(two: Cluster) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=two.base_url, api_key=OLD_KEY, max_retries=0) as client:
        yield client


def test_ids_go_to_the_upstream_that_owns_them(client: openai.OpenAI, second: Simulator) -> None:
    relayed = client.responses.create(model=SECOND, input="Hi")

    def found() -> bool:  # who owns it is noted beside the answer
        try:
            return client.responses.retrieve(relayed.id).id == relayed.id
        except openai.NotFoundError:
            return False

    until(found, seconds=5, what="the owner of a response")
    assert second.ledger()[-1]["path"] == f"/v1/responses/{relayed.id}"
    assert client.responses.input_items.list(relayed.id).data
    client.responses.delete(relayed.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(relayed.id)


def test_stored_completion_of_the_second_upstream(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=SECOND, messages=[user("Hi")], store=True)
    assert client.chat.completions.retrieve(answer.id).id == answer.id
    response_id = answer.id.replace("chatcmpl-", "resp_")
    assert client.responses.retrieve(response_id).id == response_id


def test_ids_that_nobody_claimed_go_to_the_first(client: openai.OpenAI, two: Cluster) -> None:
    made = client.conversations.create()
    assert client.conversations.retrieve(made.id).id == made.id
    assert two.simulator.ledger()[-1]["path"] == f"/v1/conversations/{made.id}"


def test_rotated_key_keeps_its_conversations(two: Cluster, client: openai.OpenAI, configuration: Path) -> None:
    chat = Dialogue.named(client, two)
    chat.say(user("One"))
    with openai.OpenAI(base_url=two.base_url, api_key=NEW_KEY, max_retries=0) as rotated:
        stranger = Dialogue(rotated, two)
        stranger.say(user("Who am I?"))
        old, new = (digest(two, dialogue.request_id) for dialogue in (chat, stranger))
        with configuration.open("a") as file:
            file.write(f'\n[[tenant]]\ndigests = ["{old}", "{new}"]\n')
        two["edge"].stop()
        two["edge"].start()
        two["edge"].wait_ready()
        moved = Dialogue(rotated, two, chat.name)
        moved.messages = chat.messages
        moved.say(user("Still there?"))
        assert (moved.reason, moved.matched) == ("chain/matched", 1)


def digest(cluster: Cluster, request_id: str) -> str:
    """The tenant that a record shows."""
    found: list[str] = []

    def there() -> bool:
        sql = f"SELECT tenant FROM calls WHERE request_id = '{request_id}'"
        found[:] = [row[0] for row in rows(cluster.nats.url, sql)]
        return bool(found)

    until(there, seconds=15, what="the record")
    return found[0]
