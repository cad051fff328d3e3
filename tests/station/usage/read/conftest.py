"""The counters of acme and of globex."""

import psycopg
import pytest

from tests.people import Tenant
from tests.station.usage.read.counters import Counters


@pytest.fixture
def counters(owner: psycopg.Connection, acme: Tenant) -> Counters:
    """The counters of acme."""
    return Counters(owner, acme)
