"""Sending: channels, deliveries, dead letters, and what providers call back."""

from signalops import errors
from signalops.send.callbacks import http as callbacks_http
from signalops.send.callbacks.model import Challenge, Suppression, SuppressionList, Taken
from signalops.send.callbacks.sns import Posted
from signalops.send.callbacks.whatsapp import StatusCallback
from signalops.send.deliveries import http as deliveries_http
from signalops.send.deliveries.model import DeliveryDetail, DeliveryList
from signalops.send.letters import http as letters_http
from signalops.send.letters.model import (
    LetterDiscarded,
    LetterList,
    LettersDiscarded,
    LettersDone,
    LetterShown,
    LettersRetried,
)
from signalops.send.manage.http import Channels
from signalops.send.manage.model import (
    ChannelChange,
    ChannelList,
    ChannelsPage,
    NewChannel,
    RotatedSecret,
    Rotation,
    StoredChannel,
    TrialResult,
    WrittenChannel,
)
from signalops.web.operations.operation import ALWAYS, BODY, Operation

_IF_MATCH = {"If-Match": "Change only if the channel is as it was read (its ETag); else 412."}


def channels(channels: Channels) -> list[Operation]:
    """Return what concerns channels."""
    return [
        Operation(
            "GET",
            "/api/channels",
            "listChannels",
            "List channels, newest first",
            channels.list,
            "channels:*",
            {200: ChannelList},
            (*ALWAYS, errors.Invalid),
            query=ChannelsPage,
        ),
        Operation(
            "POST",
            "/api/channels",
            "addChannel",
            "Add a channel",
            channels.create,
            "channels:*",
            {201: WrittenChannel},
            (*ALWAYS, *BODY, errors.Conflict),
            bodies={"application/json": NewChannel},
        ),
        Operation(
            "GET",
            "/api/channels/{id}",
            "getChannel",
            "Show a channel",
            channels.get,
            "channels:*",
            {200: StoredChannel},
            (*ALWAYS, errors.NotFound),
        ),
        Operation(
            "PUT",
            "/api/channels/{id}",
            "changeChannel",
            "Change a channel",
            channels.replace,
            "channels:*",
            {200: WrittenChannel},
            (*ALWAYS, *BODY, errors.NotFound, errors.Conflict, errors.PreconditionFailed),
            headers=_IF_MATCH,
            bodies={"application/json": ChannelChange},
        ),
        Operation(
            "DELETE",
            "/api/channels/{id}",
            "deleteChannel",
            "Delete a channel",
            channels.delete,
            "channels:*",
            {200: StoredChannel},
            (*ALWAYS, errors.NotFound, errors.Conflict, errors.PreconditionFailed),
            headers=_IF_MATCH,
        ),
        Operation(
            "POST",
            "/api/channels/{id}/enable",
            "enableChannel",
            "Enable a channel",
            channels.enable,
            "channels:*",
            {200: StoredChannel},
            (*ALWAYS, errors.NotFound, errors.PreconditionFailed),
            headers=_IF_MATCH,
        ),
        Operation(
            "POST",
            "/api/channels/{id}/disable",
            "disableChannel",
            "Disable a channel",
            channels.disable,
            "channels:*",
            {200: StoredChannel},
            (*ALWAYS, errors.NotFound, errors.PreconditionFailed),
            headers=_IF_MATCH,
        ),
        Operation(
            "POST",
            "/api/channels/{id}/test",
            "testChannel",
            "Send a test notification now",
            channels.test,
            "channels:*",
            {200: TrialResult},
            (*ALWAYS, errors.NotFound, errors.Invalid, errors.Overloaded),
        ),
        Operation(
            "POST",
            "/api/channels/{id}/rotate-secret",
            "rotateSecret",
            "Replace a webhook's signing secret, with an overlap",
            channels.rotate,
            "channels:*",
            {200: RotatedSecret},
            (*ALWAYS, *BODY, errors.NotFound, errors.Conflict),
            bodies={"application/json": Rotation},
        ),
    ]


def deliveries(deliveries: deliveries_http.Deliveries) -> list[Operation]:
    """Return what concerns deliveries."""
    return [
        Operation(
            "GET",
            "/api/deliveries",
            "listDeliveries",
            "List deliveries, newest first",
            deliveries.list,
            "deliveries:*",
            {200: DeliveryList},
            (*ALWAYS, errors.Invalid),
            query=deliveries_http.DeliveriesPage,
        ),
        Operation(
            "GET",
            "/api/deliveries/{id}",
            "getDelivery",
            "Show a delivery with its attempts",
            deliveries.get,
            "deliveries:*",
            {200: DeliveryDetail},
            (*ALWAYS, errors.NotFound),
        ),
        Operation(
            "POST",
            "/api/deliveries/{id}/retry",
            "retryDelivery",
            "Try a delivery again now",
            deliveries.retry,
            "deliveries:*",
            {200: DeliveryDetail},
            (*ALWAYS, errors.NotFound, errors.Conflict),
        ),
        Operation(
            "POST",
            "/api/deliveries/{id}/cancel",
            "cancelDelivery",
            "Cancel a delivery that waits",
            deliveries.cancel,
            "deliveries:*",
            {200: DeliveryDetail},
            (*ALWAYS, errors.NotFound, errors.Conflict),
        ),
    ]


def letters(letters: letters_http.Letters) -> list[Operation]:
    """Return what concerns dead letters."""
    return [
        Operation(
            "GET",
            "/api/dead-letters",
            "listDeadLetters",
            "List the dead letters that wait, newest first",
            letters.list,
            "deliveries:*",
            {200: LetterList},
            (*ALWAYS, errors.Invalid),
            query=letters_http.LettersPage,
        ),
        Operation(
            "POST",
            "/api/dead-letters/retry",
            "retryDeadLetters",
            "Retry dead letters, or count them",
            letters.retry_many,
            "deliveries:*",
            {200: LettersDone},
            (*ALWAYS, *BODY),
            bodies={"application/json": LettersRetried},
        ),
        Operation(
            "POST",
            "/api/dead-letters/discard",
            "discardDeadLetters",
            "Discard dead letters, or count them",
            letters.discard_many,
            "deliveries:*",
            {200: LettersDone},
            (*ALWAYS, *BODY),
            bodies={"application/json": LettersDiscarded},
        ),
        Operation(
            "GET",
            "/api/dead-letters/{id}",
            "getDeadLetter",
            "Show a dead letter",
            letters.get,
            "deliveries:*",
            {200: LetterShown},
            (*ALWAYS, errors.NotFound),
        ),
        Operation(
            "POST",
            "/api/dead-letters/{id}/retry",
            "retryDeadLetter",
            "Retry a dead letter",
            letters.retry,
            "deliveries:*",
            {200: LetterShown},
            (*ALWAYS, errors.NotFound, errors.Conflict),
        ),
        Operation(
            "POST",
            "/api/dead-letters/{id}/discard",
            "discardDeadLetter",
            "Discard a dead letter",
            letters.discard,
            "deliveries:*",
            {200: LetterShown},
            (*ALWAYS, *BODY, errors.NotFound, errors.Conflict),
            bodies={"application/json": LetterDiscarded},
        ),
    ]


def suppressions(suppressions: callbacks_http.Suppressions) -> list[Operation]:
    """Return what concerns suppressed addresses."""
    return [
        Operation(
            "GET",
            "/api/suppressions",
            "listSuppressions",
            "List the addresses that mail is not sent to any more",
            suppressions.list,
            "deliveries:*",
            {200: SuppressionList},
            (*ALWAYS, errors.Invalid),
            query=callbacks_http.SuppressionsPage,
        ),
        Operation(
            "DELETE",
            "/api/suppressions/{id}",
            "removeSuppression",
            "Let mail be sent to an address again",
            suppressions.remove,
            "deliveries:*",
            {200: Suppression},
            (*ALWAYS, errors.NotFound),
        ),
    ]


def callbacks(callbacks: callbacks_http.Callbacks) -> list[Operation]:
    """Return what concerns callbacks of providers."""
    refusals = (errors.Forbidden, errors.NotFound, errors.Unavailable)
    taking = (errors.Malformed, errors.TooLarge, errors.Overloaded)
    return [
        Operation(
            "GET",
            "/api/callbacks/whatsapp/{id}",
            "verifyWhatsAppCallback",
            "Show Meta that the address is a channel's callback",
            callbacks.shake_hands,
            None,
            {200: Challenge},
            (*refusals, errors.Invalid),
            query=callbacks_http.Handshake,
        ),
        Operation(
            "POST",
            "/api/callbacks/whatsapp/{id}",
            "takeWhatsAppStatuses",
            "Take what became of WhatsApp messages",
            callbacks.whatsapp,
            None,
            {200: Taken},
            (*refusals, *taking),
            headers={"X-Hub-Signature-256": "HMAC of the body with the channel's appSecret."},
            bodies={"application/json": StatusCallback},
        ),
        Operation(
            "POST",
            "/api/callbacks/ses",
            "takeSesEvents",
            "Take what became of mails sent by Amazon SES",
            callbacks.ses,
            None,
            {200: Taken},
            (*refusals, *taking),
            bodies={"text/plain": Posted},
        ),
    ]
