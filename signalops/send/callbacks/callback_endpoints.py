"""The endpoints that providers call, and the endpoints of suppressions."""

import hmac
from functools import cached_property
from uuid import UUID

from pydantic import ConfigDict, Field

from signalops import db, errors, telemetry
from signalops.config import Settings
from signalops.endpoint import endpoint
from signalops.errors import Forbidden, NotFound, Overloaded
from signalops.http import Page, Query, Request, Response, headers_of, id_of, read_body
from signalops.send.callbacks import callback_queries, sns, whatsapp
from signalops.send.callbacks.callback_models import CallbackAccepted, Challenge, Suppression, SuppressionList
from signalops.send.callbacks.ses import Event
from signalops.send.channels.whatsapp import Credentials
from signalops.send.secrets import SecretBox
from signalops.types import Caller, ChannelId, TenantId

_UNVERIFIED = "The callback can't be verified: check the channel's id in the address, and its appSecret and verifyToken."
_REFUSALS = (errors.Forbidden, errors.NotFound, errors.TooManyFailures, errors.Unavailable)
_TAKING = (errors.Malformed, errors.TooLarge, errors.Overloaded)
_TOO_SOON = "The delivery is not recorded yet: send this again."


class Handshake(Query):
    """How Meta asks whether an address is ours."""

    model_config = ConfigDict(extra="ignore")

    mode: str = Field(alias="hub.mode", description="subscribe")
    verify_token: str = Field(alias="hub.verify_token", description="The channel's verifyToken.")
    challenge: int = Field(alias="hub.challenge", description="What is sent back.")


class SuppressionsPage(Page):
    """Query of a list of suppressions."""

    address: str | None = Field(None, max_length=254, description="Only this address.")


class Callbacks:
    """The endpoints that providers call; each answers an unknown channel as it answers a wrong signature."""

    def __init__(self, connections: db.Pool, settings: Settings) -> None:
        self._connections = connections
        self._settings = settings
        self._topic = sns.Topic(settings.ses_topic_arn, settings) if settings.ses_topic_arn else None

    @endpoint(
        "GET /api/callbacks/whatsapp/{id}",
        "verifyWhatsAppCallback",
        "Show Meta that the address is a channel's callback",
        None,
        problems=(*_REFUSALS, errors.Invalid),
    )
    async def verify_whatsapp(self, channel: ChannelId, query: Handshake) -> Challenge:
        """Show Meta that a WhatsApp channel's callback address is ours."""
        _, credentials = await self._called(channel)
        token = credentials.verify_token or ""
        same = hmac.compare_digest(token.encode(), query.verify_token.encode())
        if not token or not same or query.mode != "subscribe":
            raise Forbidden(_UNVERIFIED)
        return Challenge(query.challenge)

    @endpoint(
        "POST /api/callbacks/whatsapp/{id}",
        "takeWhatsAppStatuses",
        "Take what became of WhatsApp messages",
        None,
        problems=(*_REFUSALS, *_TAKING),
        headers={"X-Hub-Signature-256": "HMAC of the body with the channel's appSecret."},
        bodies={"application/json": whatsapp.StatusCallback},
    )
    async def take_whatsapp(self, request: Request) -> CallbackAccepted:
        """Take the statuses of a WhatsApp channel's messages, signed with its appSecret."""
        channel = ChannelId(id_of(request, "channel"))
        tenant, credentials = await self._called(channel)
        headers = headers_of(request)
        body = await read_body(request, headers, whatsapp.MAX_BYTES)
        secret = credentials.app_secret
        if not secret or not whatsapp.is_signed(body, headers.get("x-hub-signature-256", ""), secret):
            raise Forbidden(_UNVERIFIED)
        moved = 0
        statuses = whatsapp.statuses(body)
        async with db.as_tenant(self._connections, tenant) as connection:
            for one in statuses:
                moved += _was_recorded(await callback_queries.apply_status(connection, tenant, one, channel))
        telemetry.emit("callback.processed", provider="whatsapp", tenant=tenant, received=len(statuses), applied=moved)
        return CallbackAccepted()

    @endpoint(
        "POST /api/callbacks/ses",
        "takeSesEvents",
        "Take what became of mails sent by Amazon SES",
        None,
        problems=(*_REFUSALS, *_TAKING),
        bodies={"text/plain": sns.SnsPost, "application/json": sns.SnsPost},
    )
    async def take_ses(self, request: Request) -> CallbackAccepted:
        """Take an event of Amazon SES, signed by SNS for the installation's topic; confirm its subscription."""
        if self._topic is None:
            raise NotFound("This installation takes no events of SES: its operator sets SIGNALOPS_SES_TOPIC_ARN.")
        post = sns.SnsPost.of(await read_body(request, headers_of(request), sns.MAX_BYTES))
        await self._topic.verify(post)
        if post.type == "SubscriptionConfirmation":
            await self._topic.confirm(post)
        elif post.type == "Notification" and (event := Event.of(post.message)):
            await self._take(event)
        return CallbackAccepted()

    async def _take(self, event: Event) -> None:
        tenant, delivery = TenantId(event.mail.tags.tenant[0]), event.mail.tags.delivery[0]
        status = event.status()
        async with db.as_tenant(self._connections, tenant) as connection:
            suppressed = [
                one for one in event.addresses_to_suppress() if await callback_queries.suppress(connection, tenant, delivery, one)
            ]
            moved = _was_recorded(await callback_queries.apply_status(connection, tenant, status, None)) if status else False
        for one in suppressed:
            telemetry.emit("address.suppressed", tenant=tenant, delivery=delivery, reason=one.reason)
        telemetry.emit("callback.processed", provider="ses", tenant=tenant, received=int(status is not None), applied=int(moved))

    async def _called(self, channel: ChannelId) -> tuple[TenantId, Credentials]:
        async with self._connections.connection() as connection:
            found = await callback_queries.find_called_channel(connection, channel)
        if found is None:
            raise Forbidden(_UNVERIFIED)
        tenant, sealed = found
        return tenant, Credentials.of(self._keyring.open(sealed))

    @cached_property
    def _keyring(self) -> SecretBox:
        """The keys, read when they are first needed: an installation without such channels may have none here."""
        return SecretBox(self._settings)


@endpoint(
    "GET /api/suppressions",
    "listSuppressions",
    "List the addresses that mail is not sent to any more",
    "deliveries:*",
    answers={200: SuppressionList},
)
async def list_suppressions(connection: db.Connection, caller: Caller, query: SuppressionsPage) -> Response:
    """List the addresses that mail is not sent to any more, newest first."""
    address = query.address and query.address.lower()
    filters = {"address": address, "upwards": query.upwards, **query.window(await db.settled(connection))}
    return query.listed(
        await callback_queries.list_suppressions(connection, caller.tenant, **filters), Suppression.model_validate
    )


@endpoint("DELETE /api/suppressions/{id}", "removeSuppression", "Let mail be sent to an address again", "deliveries:*")
async def remove_suppression(connection: db.Connection, caller: Caller, suppression: UUID) -> Suppression:
    """Let mail be sent to an address again, and return what was removed."""
    removed = await callback_queries.remove_suppression(connection, caller.tenant, suppression)
    if removed is None:
        raise NotFound("There is no such suppression: check the id.")
    return Suppression.model_validate(removed)


def _was_recorded(moved: bool | None) -> bool:
    """Return whether a delivery changed; reject a report that came too early, so that it is sent again."""
    if moved is None:
        raise Overloaded(_TOO_SOON, headers={"Retry-After": "5"})
    return moved
