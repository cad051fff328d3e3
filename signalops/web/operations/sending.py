"""Sending: channels, deliveries and dead letters."""

from signalops import errors
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
