"""The channels that rules of the tests notify."""

import psycopg
import pytest

from tests.people import Tenant
from tests.station.rules.rules import make_channel


@pytest.fixture
def ops(owner: psycopg.Connection, acme: Tenant) -> str:
    """The id of acme's channel "ops"."""
    return make_channel(owner, acme)
