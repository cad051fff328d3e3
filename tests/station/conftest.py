"""A running API on the test's own database."""

from collections.abc import AsyncIterator

import pytest

from signalops.config import Settings
from tests.api import Client, running


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Client]:
    """One running API; others on the same database are made with `running(settings)`."""
    async with running(settings) as client:
        yield client
