"""The groups of the API documentation: which endpoints belong together, with a sentence each."""

from typing import NamedTuple, get_args

from signalops.endpoint import Endpoint
from signalops.types import PlatformScope


class Group(NamedTuple):
    """A tag of the OpenAPI document, and the beginnings of its addresses; operators' endpoints are found by their scope."""

    name: str
    about: str
    prefixes: tuple[str, ...]


OPERATORS = Group(
    "Operators: tenants", "Tenants of the installation, their keys and their audit log. With an operator's token.", ()
)
OPERATORS_BILLING = Group(
    "Operators: billing", "Plans, limits, credit, adjustments and invoices of tenants. With an operator's token.", ()
)
GROUPS = (
    Group("Events", "Send events, one or up to 1,000 at once, and see what became of each.", ("/api/events",)),
    Group("Event types", "The types that came, with their fields, and JSON Schemas for their payloads.", ("/api/event-types",)),
    Group("Rules", "Rules match events and notify channels. Test them before they are active.", ("/api/rules",)),
    Group("Silences", "Mute the notifications of matching events for a time.", ("/api/silences",)),
    Group("Replays", "Run past events through the rules again; nothing is billed twice.", ("/api/replays",)),
    Group("Channels", "Where notifications go: e-mail, webhook, Slack, Telegram, WhatsApp, any HTTP API.", ("/api/channels",)),
    Group("Deliveries", "Notifications with their attempts; retry or cancel them.", ("/api/deliveries",)),
    Group(
        "Dead letters", "What failed for good: list, retry or discard, one or all that match a filter.", ("/api/dead-letters",)
    ),
    Group("Suppressions", "Addresses that bounced or complained, and are not written to.", ("/api/suppressions",)),
    Group("Callbacks", "What WhatsApp and Amazon SES report about their messages.", ("/api/callbacks",)),
    Group("Meters", "What is counted of events besides their number.", ("/api/meters",)),
    Group("Usage and limits", "What was counted, the limits in effect, and adjustments.", ("/api/usage", "/api/limits")),
    Group(
        "Billing",
        "The plan, invoices with the events behind each line, and credit.",
        ("/api/plan", "/api/invoices", "/api/credits"),
    ),
    Group("Keys", "API keys: create, restrict, rotate and revoke.", ("/api/keys",)),
    Group("Audit log", "Who changed what.", ("/api/audit-log",)),
    OPERATORS,
    OPERATORS_BILLING,
    Group("Health", "Liveness, readiness and Prometheus metrics.", ("/healthz", "/readyz", "/metrics")),
)
_BILLING = ("adjustments", "credits", "plan", "limits", "invoices")


def group_of(endpoint: Endpoint) -> str | None:
    """Return the name of an endpoint's group, by the beginning of its address."""
    if endpoint.scope in get_args(PlatformScope):
        words = endpoint.path.split("/")
        is_billing = endpoint.path.startswith("/api/plans") or (len(words) > 4 and words[4] in _BILLING)
        return (OPERATORS_BILLING if is_billing else OPERATORS).name
    path = endpoint.path
    return next((g.name for g in GROUPS if any(path == p or path.startswith(f"{p}/") for p in g.prefixes)), None)
