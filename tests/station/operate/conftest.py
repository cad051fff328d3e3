"""An operator, and invoices of past months."""

from tests.station.access.tenants.conftest import operator
from tests.station.usage.invoices.conftest import world

__all__ = ["operator", "world"]
