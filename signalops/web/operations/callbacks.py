"""What providers call back, and the addresses that are not written to any more."""

from signalops import errors
from signalops.send.callbacks import http as callbacks_http
from signalops.send.callbacks.model import Challenge, Suppression, SuppressionList, Taken
from signalops.send.callbacks.sns import Posted
from signalops.send.callbacks.whatsapp import StatusCallback
from signalops.web.operations.operation import ALWAYS, Operation


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
    refusals = (errors.Forbidden, errors.NotFound, errors.TooManyFailures, errors.Unavailable)
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
