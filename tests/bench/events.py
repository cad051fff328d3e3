"""What the benchmark sends, and what rules look at it: 20 rules a tenant, of which one wants an event with the segment gold."""

from collections.abc import Iterator

import orjson

from tests.bench.rules import Json, anything_but, exact, numeric, prefix, small_event, wildcard

PAYLOAD_BYTES = 300
RULES = 20


def event(is_wanted: bool = False) -> Json:
    """Return an event, as it is posted, that exactly one rule wants, or none."""
    bare = small_event(7)
    payload = {**_object(bare["payload"]), "segment": "gold" if is_wanted else "iron", "note": ""}
    payload["note"] = "n" * (PAYLOAD_BYTES - len(orjson.dumps(payload)))
    return {"type": bare["type"], "source": bare["source"], "payload": payload}


def rules() -> Iterator[Json]:
    """Yield the patterns of a tenant: all must be evaluated, one can match."""
    yield {"type": ["order.paid"], "payload": {"segment": ["gold"]}}
    kinds = (exact, prefix, numeric, anything_but, wildcard)
    # From a million on nothing is the value of a small event's field.
    yield from (kinds[number % len(kinds)](1_000_000 + number) for number in range(RULES - 1))


def _object(value: object) -> Json:
    assert isinstance(value, dict)
    return value
