"""Event types: the catalog of the types that a tenant sends, and the JSON Schemas that validate their payloads.

Input: processed events (EventTypeCatalog.note), and payloads that are about to be accepted (PayloadValidator.faults). Output:
rows of the catalog, a second later, and the faults of a payload. Writes: event_types, event_schemas. Invariant: neither delays
the transaction of an event, and no event is lost or counted differently because of them.
"""

from signalops.ingest.types.catalog import EventTypeCatalog
from signalops.ingest.types.schema_cache import SchemaCache

__all__ = ["EventTypeCatalog", "SchemaCache"]
