"""A running API on the test's own database, as the stations' tests have it, but for the limit of requests a second."""

import pytest

from signalops.config import Settings
from tests.station.conftest import api

__all__ = ["api"]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings by which no request is refused for coming too soon: what is sent twice must be answered alike."""
    return settings.model_copy(update={"request_rate": 1_000_000, "request_burst": 1_000_000})
