"""signalops seed: the demo tenant with its key, two channels that lead to the local sink, and two rules."""

import asyncio

from signalops import clock, db
from signalops.access import access_queries as access
from signalops.config import Settings
from signalops.rules.rule_models import NewRule
from signalops.rules.rule_service import RuleRegistry
from signalops.send import ChannelRegistry, NewChannel
from signalops.templates import SendTemplates
from signalops.tenants.tenant_queries import add_tenant, find_tenant
from signalops.types import TenantId
from signalops.usage.limits import set_limit
from signalops.usage.plans.plan_models import LimitTerms

KEY = "test_api_key_8077c438f557"
_PREFIX = "test_api_key_807"
_HASH = "$2a$12$6/BEeH39Jw5EpbWPIFiNxOq2/LONKgWDev/dUicvliI47gBP4q/we"
_SCOPES = ["events:write", "events:read", "rules:*", "channels:*", "deliveries:*", "meters:*", "usage:read"]

WELCOME = NewRule(
    name="greet new users",
    pattern={"type": ["user.signup"]},
    channel="mail to the team",
    template={"subject": "A new user: {{ payload.email }}", "body": "{{ payload.email }} signed up at {{ occurredAt }}.\n"},
)
# Written in the first grammar, which stays accepted.
_BIG_ORDERS = NewRule(
    name="notify the shop of paid orders",
    grammar=1,
    pattern={"type": "order.paid", "payload.currency": "EUR"},
    channel="the shop",
)


def seed(settings: Settings) -> str:
    """Create the demonstration data that is missing; return a sentence that lists it."""
    return asyncio.run(_seed(settings))


async def _seed(settings: Settings) -> str:
    async with db.as_owner(settings) as connection:
        if await find_tenant(connection, "acme"):
            return "The tenant acme is there already."
        tenant = TenantId(clock.new_id())
        await add_tenant(connection, id=tenant, slug="acme", name="Acme")
        await db.set_tenant(connection, tenant)
        await set_limit(connection, tenant, LimitTerms(meter="events", soft=100_000, hard=120_000))
        key = {"prefix": _PREFIX, "hash": _HASH, "label": "first documentation", "scopes": _SCOPES}
        await access.add_key(connection, tenant=tenant, id=clock.new_id(), **key)
        url = f"http://127.0.0.1:{settings.sink_port}/hooks/shop"
        mail = NewChannel(name=WELCOME.channel, kind="email", config={"to": "team@acme.example"})
        hook = NewChannel(name=_BIG_ORDERS.channel, kind="webhook", config={"url": url})
        for channel in (mail, hook):
            await ChannelRegistry(settings).add(connection, tenant, channel)
        registry = RuleRegistry(SendTemplates(), settings.max_rules)
        for rule in (WELCOME, _BIG_ORDERS):
            await registry.add(connection, tenant, rule)
    return f"The tenant acme is made, with the key {KEY}, two channels and two rules."
