"""A running API on the test's own database, as the stations' tests have it."""

from tests.station.conftest import api

__all__ = ["api"]
