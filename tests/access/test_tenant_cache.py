"""The tenants that tokens name: remembered, and forgotten one at a time."""

import psycopg
import pytest

from signalops import db
from signalops.access import tenant_cache
from signalops.access.tenant_cache import TenantCache
from signalops.errors import Forbidden
from tests.support.tenants import make_tenant


async def test_a_full_cache_evicts_the_least_recently_used(
    api_pool: db.Pool, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_cache, "_MAX_REMEMBERED", 2)
    for slug in ("one", "two", "three"):
        make_tenant(owner, slug)
    tenants = TenantCache(api_pool)
    for slug in ("one", "two", "one", "three"):
        await tenants.admit(slug)
    owner.execute("update signalops.tenants set status = 'suspended', status_reason = 'a test'")
    assert (await tenants.admit("one")).status == (await tenants.admit("three")).status == "active", "no notice was heard of"
    with pytest.raises(Forbidden, match="suspended"):
        await tenants.admit("two")
