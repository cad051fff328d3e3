"""The counters of acme and of globex."""

import psycopg
import pytest

from tests.support.counters import Counters
from tests.support.tenants import Tenant


@pytest.fixture
def counters(owner: psycopg.Connection, acme: Tenant) -> Counters:
    """The counters of acme."""
    return Counters(owner, acme)
