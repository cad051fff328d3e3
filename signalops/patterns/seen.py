"""An event as patterns see it."""

from collections.abc import Mapping
from typing import Any

_OWN = ("type", "source", "occurredAt", "payload")


def as_seen(event: Mapping[str, Any], attributes: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return an event with the attributes of a CloudEvent, such as its own id.

    An attribute can't take the place of what every event has.
    """
    return event if attributes is None else {**attributes, **{name: event[name] for name in _OWN}}
