"""From facts to spans of OpenTelemetry: optional, by the extra `traces`, and sent as OpenTelemetry's own variables say."""

from signalops.config import Settings
from signalops.errors import Unusable
from signalops.facts import Subscriber


def spans_of(settings: Settings, part: str) -> Subscriber | None:
    """Return a subscriber that makes spans of the facts of a part (api, worker); None: nobody asks for traces.

    Raises Unusable when somebody does and the extra is not installed.
    """
    if not settings.traces:
        return None
    try:
        from signalops.watch.traces.spans import Spans  # noqa: PLC0415  there only with the extra
    except ImportError as error:
        raise Unusable("SIGNALOPS_TRACES needs the extra `traces`: run `pip install 'signalops[traces]'`.") from error
    return Spans(f"signalops-{part}")
