"""OpenTelemetry spans from telemetry events: optional, by the extra `traces`, configured by OpenTelemetry's own variables."""

from signalops.config import Settings
from signalops.errors import Unusable
from signalops.telemetry import Subscriber


def spans_of(settings: Settings, part: str) -> Subscriber | None:
    """Return a subscriber that creates the spans of a process (api, worker); None if tracing is not configured.

    Raises Unusable when somebody does and the extra is not installed.
    """
    if not settings.traces:
        return None
    try:
        from signalops.watch.traces.spans import Spans  # noqa: PLC0415  there only with the extra
    except ImportError as error:
        raise Unusable("SIGNALOPS_TRACES needs the extra `traces`: run `pip install 'signalops[traces]'`.") from error
    return Spans(f"signalops-{part}")
