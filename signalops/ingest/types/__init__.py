"""Event types: the catalogue of what a tenant sends, and the JSON Schemas that it holds its payloads against.

Comes in: processed events (Catalogue.note), and payloads that are about to be accepted (SchemaCache.faults). Goes out: rows of
the catalogue, a second later, and the faults of a payload.
Writes: event_types, event_schemas.
Invariant: neither delays an event's transaction, and no event is lost or counted differently for it.
"""

from signalops.ingest.types.catalog import EventTypeCatalog
from signalops.ingest.types.schema_cache import SchemaCache

__all__ = ["EventTypeCatalog", "SchemaCache"]
