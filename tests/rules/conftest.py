"""The channels that rules of the tests notify."""

import psycopg
import pytest

from tests.support.rows import add_channel
from tests.support.tenants import Tenant


@pytest.fixture
def ops(owner: psycopg.Connection, acme: Tenant) -> str:
    """The id of acme's channel "ops"."""
    return str(add_channel(owner, acme.id, name="ops"))
