"""Who calls: by keyed hash, and with the credentials for each upstream."""

import pytest

from libs.runtime.errors import StartError
from libs.schemas.config import Tenant, Upstream
from libs.translate.errors import InvalidRequest
from services.edge.tenants import Tenants

OURS = Upstream(name="ours", base_url="https://o", key_env="OUR_KEY")
THEIRS = Upstream(name="theirs", base_url="https://t", auth="client")


def tenants(secret: bytes = b"s" * 32, key: str = "sk-ours") -> Tenants:
    return Tenants(secret, [OURS, THEIRS], {"OUR_KEY": key})


def bearer(token: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}", **more}


def test_tenant_is_stable_and_tells_nothing_of_the_key() -> None:
    one = tenants().identify(bearer("sk-1"))
    assert one.tenant == tenants().identify(bearer("sk-1")).tenant
    assert one.tenant != tenants().identify(bearer("sk-2")).tenant
    assert one.tenant != tenants(secret=b"t" * 32).identify(bearer("sk-1")).tenant
    assert "sk-1" not in one.tenant


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic x"}, {"authorization": "Bearer "}, bearer("")])
def test_request_without_a_bearer_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        tenants().identify(headers)
    assert (caught.value.status, caught.value.error.code) == (401, "invalid_api_key")


def test_caller_s_key_goes_only_where_it_is_meant_to() -> None:
    caller = tenants().identify(bearer("sk-1"))
    assert tenants().key(OURS, caller) == "sk-ours"
    assert tenants().key(THEIRS, caller) == "sk-1"


def test_account_is_upstream_key_organization_and_project() -> None:
    def accounts(key: str = "sk-ours", token: str = "sk-1", **scoping: str) -> dict[str, str]:
        made = tenants(key=key)
        return made.accounts(made.identify(bearer(token, **scoping)))

    base = accounts()
    assert base == accounts()
    assert base["ours"] != base["theirs"]
    assert accounts(token="sk-2")["ours"] == base["ours"]
    assert accounts(token="sk-2")["theirs"] != base["theirs"]
    assert accounts(key="sk-new")["ours"] != base["ours"]
    for scoping in ({"openai-organization": "o"}, {"openai-project": "o"}):
        assert accounts(**scoping)["ours"] != base["ours"]


def test_linked_keys_are_one_tenant_and_keep_their_conversations() -> None:
    old, new = (tenants().identify(bearer(token)).tenant for token in ("sk-old", "sk-new"))
    linked = Tenants(b"s" * 32, [OURS, THEIRS], {"OUR_KEY": "k"}, [Tenant(digests=[old, new], retain="none")])
    before, after = linked.identify(bearer("sk-old")), linked.identify(bearer("sk-new"))
    assert before.tenant == after.tenant == old
    assert linked.accounts(before) == linked.accounts(after)
    assert (after.retain, linked.identify(bearer("sk-3")).retain) == (False, True)
    assert linked.key(THEIRS, after) == "sk-new"


def test_digest_in_two_tenants_stops_the_start() -> None:
    twice = [Tenant(digests=["a", "b"]), Tenant(digests=["b"])]
    with pytest.raises(StartError, match="digest b stands in two tenants"):
        Tenants(b"s" * 32, [THEIRS], {}, twice)
