"""signalops dead-letter: list, retry and discard dead letters."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, TypeVar
from uuid import UUID

import typer

from signalops import db
from signalops.cli.channels import channel_id
from signalops.cli.common import AsJson, TenantSlug, for_tenant
from signalops.cli.derived import Commands, Resolve
from signalops.cli.output import show_done
from signalops.cli.rule_args import rule_id
from signalops.cli.times import Since, Until
from signalops.errors import Unusable
from signalops.http import validated
from signalops.send.dead_letters import dead_letter_endpoints, dead_letter_service
from signalops.send.dead_letters.dead_letter_models import DeadLetterCounts, DeadLetterDiscard, DeadLetterKind, DeadLetterRetry
from signalops.types import JsonObject, TenantId

app = typer.Typer(no_args_is_help=True)
commands = Commands(app, "dead-letter", resolve={"channel": channel_id, "rule": rule_id})
commands.add(
    dead_letter_endpoints.list_dead_letters, "list", columns="diedAt kind rule channel error id", example="--error 'answered 500'"
)
commands.add(dead_letter_endpoints.get_dead_letter, "show")

ChannelOption = Annotated[str | None, typer.Option("--channel", help="Only through this channel (name or id).")]
RuleOption = Annotated[str | None, typer.Option("--rule", help="Only those of this rule (name or id).")]
Ids = Annotated[list[UUID] | None, typer.Argument(help="These dead letters; or name them by the options.")]
All = Annotated[bool, typer.Option("--all", help="All unresolved dead letters.")]
Kind = Annotated[DeadLetterKind | None, typer.Option(help="Only events, or only deliveries.")]
Error = Annotated[str | None, typer.Option(help="Only with this in their error, in any case.")]
Sure = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Request = TypeVar("Request", DeadLetterRetry, DeadLetterDiscard)
Work = Callable[[db.Connection, TenantId, Request], Awaitable[DeadLetterCounts]]


@app.command(epilog="Example: signalops dead-letter retry --tenant acme --channel hook --yes")
def retry(
    tenant: TenantSlug,
    ids: Ids = None,
    every: All = False,
    kind: Kind = None,
    channel: ChannelOption = None,
    rule: RuleOption = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Retry dead letters; prints how many and asks first. At most 10,000 at once."""
    narrowed = {"kind": kind, "channel": channel, "rule": rule, "error": error, "from": since, "to": until}
    request = validated(DeadLetterRetry, _choice(tenant, ids, every, narrowed))
    _do(tenant, request, dead_letter_service.retry_many, "Retry", yes, as_json)


@app.command(epilog="Example: signalops dead-letter discard --tenant acme --error 'no such user' --reason 'left the company'")
def discard(
    tenant: TenantSlug,
    reason: Annotated[str, typer.Option(help="The reason; it is stored.")],
    ids: Ids = None,
    every: All = False,
    kind: Kind = None,
    channel: ChannelOption = None,
    rule: RuleOption = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Discard dead letters for good; prints how many and asks first. They stay on record. At most 10,000 at once."""
    narrowed = {"kind": kind, "channel": channel, "rule": rule, "error": error, "from": since, "to": until}
    request = validated(DeadLetterDiscard, {**_choice(tenant, ids, every, narrowed), "reason": reason})
    _do(tenant, request, dead_letter_service.discard_many, "Discard", yes, as_json)


def _do(tenant: str, request: Request, work: Work[Request], verb: str, yes: bool, as_json: bool) -> None:
    """Print how many dead letters are selected, ask for confirmation, and retry or discard them."""
    counted = for_tenant(tenant, lambda connection, tenant_id: dead_letter_service.count(connection, tenant_id, request))
    beyond = f" (and {counted.remaining} are left for next time)" if counted.remaining else ""
    if not counted.dead_letters:
        show_done("No dead letters.", counted.model_dump(by_alias=True), as_json)
        return
    if not yes:
        typer.confirm(f"{verb} {counted.dead_letters} dead letters{beyond}?", abort=True)
    done = for_tenant(tenant, lambda connection, tenant_id: work(connection, tenant_id, request))
    show_done(f"{verb}: {done.dead_letters} dead letters, {done.remaining} remain.", done.model_dump(by_alias=True), as_json)


def _choice(tenant: str, ids: list[UUID] | None, every: bool, narrowed: JsonObject) -> JsonObject:
    """Return the selected dead letters. All of them require --all: a forgotten option must not select everything."""
    named = _filter(tenant, narrowed)
    if bool(ids) + bool(named) + every != 1:
        raise Unusable("Name the dead letters by their ids, by options such as --channel, or by --all.")
    return {"ids": ids} if ids else {"filter": named}


async def _resolved(resolve: Resolve, text: str, connection: db.Connection, tenant: TenantId) -> UUID:
    return await resolve(connection, tenant, text)


def _filter(tenant: str, narrowed: JsonObject) -> JsonObject:
    """Return what was named, channel and rule by their ids."""
    named = {name: value for name, value in narrowed.items() if value is not None}
    for noun, resolve in (("channel", channel_id), ("rule", rule_id)):
        if noun in named:
            text = named[noun]
            named[noun] = for_tenant(tenant, partial(_resolved, resolve, text))
    return named
