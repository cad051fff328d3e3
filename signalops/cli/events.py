"""signalops event: send an event as a producer does, and list stored events."""

import asyncio
from typing import Annotated

import typer

from signalops import db
from signalops.cli.common import AsJson, TenantSlug, as_owner, required
from signalops.cli.derived import Commands
from signalops.cli.inspect import trace
from signalops.cli.listen import tail
from signalops.cli.output import show_done
from signalops.cli.remote import remote, with_api
from signalops.cli.rule_args import read_object
from signalops.config import settings
from signalops.errors import Problem, Unusable
from signalops.http import validated
from signalops.ingest.event_endpoints import Events
from signalops.ingest.event_models import EventIn, Stored, incoming
from signalops.ingest.flush import Flusher, Limits
from signalops.ingest.rate_limit_cache import RateLimitCache
from signalops.ingest.types import SchemaCache
from signalops.ingest.types.schema_cache import PayloadValidator
from signalops.tenants.tenant_queries import find_tenant
from signalops.types import JsonObject, TenantId
from signalops.usage.limits import LimitedMeters

app = typer.Typer(no_args_is_help=True)
# The list needs none of what events are stored with.
commands = Commands(app, "event", lambda: object.__new__(Events))
commands.add(Events.list_events, "list", columns="receivedAt type status id", example="--type user.signup")


@app.command(epilog="""Example: signalops event send --tenant acme user.signup --payload '{"email":"user@example.com"}'""")
def send(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="The event's type.")],
    tenant: TenantSlug = "",
    payload: Annotated[str, typer.Option(help="An object (JSON), @FILE, or - for standard input.")] = "{}",
    source: Annotated[str | None, typer.Option(help="Where it comes from.")] = None,
    occurred_at: Annotated[str | None, typer.Option(help="When it happened (RFC 3339); default: now.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="A second event with this key stores nothing new.")] = None,
    as_json: AsJson = False,
) -> None:
    """Store an event as the API does: once, counted, and processed by the next worker."""
    fields = {"type": type_, "source": source, "occurredAt": occurred_at, "idempotencyKey": idempotency_key}
    document: JsonObject = {name: value for name, value in fields.items() if value is not None}
    document["payload"] = read_object(payload)
    event = validated(EventIn, document)
    if at := remote():
        answer = with_api(at, lambda api: api.post("/api/events", document))
    else:
        stored = asyncio.run(_stored(_active(required(tenant)), event))
        answer = {"id": str(stored.id), "status": stored.status}
    show_done(f"{answer['status']} {answer['id']}; see `signalops event trace {answer['id']}`", answer, as_json)


def _active(slug: str) -> TenantId:
    """Return the id of a tenant that takes events; Unusable."""
    found = as_owner(lambda connection: find_tenant(connection, slug))
    if found is None:
        raise Unusable(f"There is no tenant {slug!r}: see `signalops tenant list`.")
    if found.status != "active":
        raise Unusable(f"The tenant is {found.status}: it takes no events.")
    return found.id


async def _stored(tenant: TenantId, event: EventIn) -> Stored:
    async with db.pool(settings(), "api", 2) as connections:
        stored = incoming(tenant, event)
        await PayloadValidator(await SchemaCache(connections).of(tenant)).faults(event.type, event.payload, stored.row)
        limits = Limits(waiting=1, flush=1, linger=0)
        flusher = Flusher((connections, connections), LimitedMeters(connections), RateLimitCache(), 0, limits)
        flushing = asyncio.create_task(flusher.run(), name="flush an event")
        try:
            outcome = (await flusher.submit([stored]))[stored.id]
        finally:
            flushing.cancel()
    if isinstance(outcome, Problem):
        raise outcome
    return outcome


app.command("trace", epilog="Example: signalops event trace --last")(trace)
app.command("tail", epilog="Example: signalops event tail --type user.signup")(tail)
