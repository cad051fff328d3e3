"""signalops listen, trigger and event tail: a tenant's events as they come, for those who develop against the API."""

import asyncio
import secrets
from datetime import datetime
from typing import Annotated

import orjson
import typer

from signalops.cli.output import console, show_json
from signalops.cli.remote import DEFAULT_KEY, Key, Remote, Url, with_api
from signalops.cli.rule_args import read_object
from signalops.config import settings
from signalops.errors import Unusable
from signalops.send.api_client import ApiClient
from signalops.send.channels.webhook import make_secret, signed
from signalops.types import JsonObject

_POLL = 0.5
_PAGE = "100"
Type = Annotated[str | None, typer.Option("--type", help="Only events of this type.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON.")]
app = typer.Typer()


@app.command(epilog="Example: signalops listen --forward-to http://localhost:4242/webhooks")
def listen(
    forward_to: Annotated[str | None, typer.Option(help="POST each event to this URL, signed as a webhook.")] = None,
    kind: Type = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = DEFAULT_KEY,
) -> None:
    """Print a tenant's events as they are stored, and forward them to a local URL. Ctrl-C ends it."""
    secret = make_secret()
    if forward_to:
        typer.echo(f"Events are forwarded to {forward_to}, signed with {secret}", err=True)
    _follow(url, key, kind, as_json, (forward_to, secret) if forward_to else None)


def tail(kind: Type = None, as_json: AsJson = False, url: Url = None, key: Key = DEFAULT_KEY) -> None:
    """Print a tenant's events as they are stored. Ctrl-C ends it."""
    _follow(url, key, kind, as_json, None)


@app.command(epilog="Example: signalops trigger user.signup")
def trigger(
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="The event's type.")],
    payload: Annotated[str | None, typer.Option(help="An object (JSON), or @FILE; default: a recent one of the type.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
    url: Url = None,
    key: Key = DEFAULT_KEY,
) -> None:
    """Send an event of a type, with the payload of a recent one: it is stored, counted and processed."""

    async def sending(api: ApiClient) -> JsonObject:
        content = read_object(payload) if payload else await _recent_payload(api, kind)
        body = {"type": kind, "source": "signalops trigger", "payload": content, "idempotencyKey": secrets.token_hex(16)}
        return await api.post("/api/events", body)

    stored = with_api(_at(url, key), sending)
    if as_json:
        show_json(stored)
    else:
        typer.echo(f"{stored['status']} {stored['id']}; see `signalops event trace {stored['id']}`")


async def _recent_payload(api: ApiClient, kind: str) -> JsonObject:
    found = (await api.get("/api/events", type=kind, limit="1"))["data"]
    payload: JsonObject = found[0]["payload"] if found else {}
    return payload


def _at(url: str | None, key: str) -> Remote:
    return Remote(url or f"http://{settings().host}:{settings().port}", key)


def _follow(url: str | None, key: str, kind: str | None, as_json: bool, receiver: tuple[str, str] | None) -> None:
    show = _print_json if as_json else _print_line

    async def following(api: ApiClient) -> None:
        filters = {"type": kind} if kind else {}
        newest = (await api.get("/api/events", limit="1", **filters))["data"]
        last = newest[0]["id"] if newest else None
        typer.echo(f"Waiting for events at {api.base_url}. Ctrl-C ends this.", err=True)
        while True:
            since = {"endingBefore": last} if last else {}
            for event in reversed((await api.get("/api/events", limit=_PAGE, **filters, **since))["data"]):
                last = event["id"]
                show(event, await _forward(api, *receiver, event) if receiver else None)
            await asyncio.sleep(_POLL)

    try:
        with_api(_at(url, key), following)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _forward(api: ApiClient, url: str, secret: str, event: JsonObject) -> str:
    """Post an event as a webhook would have it, without a rule; return the answer's status or why there is none."""
    data = {name: event[name] for name in ("id", "type", "source", "occurredAt", "payload")}
    body = orjson.dumps({"type": event["type"], "timestamp": event["occurredAt"], "data": {"event": data}})
    headers = signed(secret, f"msg_{event['id'].replace('-', '')}", body)
    try:
        return str(await api.forward(url, body, {"Content-Type": "application/json", **headers}))
    except Unusable as error:
        return f"failed: {error}"


def _print_json(event: JsonObject, _: str | None) -> None:
    typer.echo(orjson.dumps(event))


def _print_line(event: JsonObject, answer: str | None) -> None:
    at = datetime.fromisoformat(event["receivedAt"]).astimezone()
    forwarded = f"  -> {answer}" if answer else ""
    console().print(f"{at:%H:%M:%S}  {event['type']}  {event['id']}{forwarded}")
