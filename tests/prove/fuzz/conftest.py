"""Settings of the API that is fuzzed."""

import pytest

from signalops.config import Settings
from tests.support.api import without_request_limit


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings by which no request is refused for coming too soon: what is sent twice must be answered alike."""
    return without_request_limit(settings)
