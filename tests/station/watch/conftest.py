"""The batches and jobs of the station queue."""

from tests.station.queue.conftest import world

__all__ = ["world"]
