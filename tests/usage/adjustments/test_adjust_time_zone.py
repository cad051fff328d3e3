"""A tenant's time zone is fixed by what was counted in it."""

import psycopg
import pytest

from signalops import clock
from tests.support.api import SIGNUP, Client
from tests.support.counters import Counters
from tests.support.tenants import Tenant

REFUSED = "the tenant acme has usage in the time zone UTC, which is fixed by that: make another tenant"


def set_zone(owner: psycopg.Connection, tenant: Tenant, zone: str) -> None:
    owner.execute("update signalops.tenants set time_zone = %s where id = %s", [zone, tenant.id])


def test_it_is_set_until_something_is_counted(owner: psycopg.Connection, acme: Tenant, globex: Tenant) -> None:
    set_zone(owner, acme, "Europe/Berlin")
    set_zone(owner, acme, "UTC")
    Counters(owner, acme).count(clock.now())
    with pytest.raises(psycopg.errors.CheckViolation, match=REFUSED):
        set_zone(owner, acme, "Europe/Berlin")
    set_zone(owner, acme, "UTC")  # as it is
    set_zone(owner, globex, "Europe/Berlin")


async def test_what_waits_to_be_counted_fixes_it_as_well(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    assert (await api.post(SIGNUP, acme)).status == 202
    with pytest.raises(psycopg.errors.CheckViolation, match=REFUSED):
        set_zone(owner, acme, "Europe/Berlin")


def test_an_adjustment_fixes_it_as_well(owner: psycopg.Connection, acme: Tenant) -> None:
    with owner.transaction():
        owner.execute("select signalops.set_tenant(%s)", [acme.id])
        owner.execute("select signalops.add_adjustment(%s, %s, 'events', now(), '[]', 1, 'r', 'a')", [acme.id, clock.new_id()])
    with pytest.raises(psycopg.errors.CheckViolation, match=REFUSED):
        set_zone(owner, acme, "Europe/Berlin")


@pytest.mark.parametrize("zone", ["CET", "Europe/Atlantis", "+02:00", "europe/berlin", ""])
def test_what_is_no_time_zone_is_refused(owner: psycopg.Connection, acme: Tenant, zone: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        set_zone(owner, acme, zone)
