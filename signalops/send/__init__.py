"""Sending: delivers the notifications that rules asked for.

Input: a job {tenant, delivery, more}. Output: messages through the channels of the deliveries, and the result of each attempt.

Writes: `deliveries` (inserted by record_batch), `delivery_attempts`, `dead_letters` of kind delivery, `channels` with their
`send_targets` and `channel_schedules`, and `suppressions`.

Invariant: a delivery ends as `sent` (and may become `delivered` and `read`), `cancelled`, `suppressed`, or `dead` with a dead
letter. Every attempt is recorded unless its worker died, and all attempts of one delivery carry the same id (webhook-id,
Message-ID). The receiver gets it at least once, and twice only after a crash between its answer and the record of the attempt.

    deliver.py         one attempt, and what follows from it
    attempt_writer.py  records attempts, many in one statement
    template.py        renders the rule's template; its language is in README.md
    engine.py          Liquid with limits
    filters.py         its filters, with limits
    output.py          escapes its output
    markup.py          what a value may not do to the markup it is written into
    fields.py          which fields of the event a template refers to
    channels/          a file and a class for each kind
    backoff.py         when to retry
    secrets.py         encrypts the secrets of channels
    channel_admin/     add, change, test and delete channels
    deliveries/        list, retry and cancel deliveries
    dead_letters/      list, retry and discard dead letters
"""

from signalops.send.channel_admin.channel_models import NewChannel
from signalops.send.channel_admin.channel_service import ChannelRegistry
from signalops.send.deliver import Sender
from signalops.send.fields import fields_of
from signalops.send.message_models import Message, Notification
from signalops.send.secrets import SecretBox
from signalops.send.template import check as check_template
from signalops.send.template import rendered

__all__ = [
    "ChannelRegistry",
    "Message",
    "NewChannel",
    "Notification",
    "SecretBox",
    "Sender",
    "check_template",
    "fields_of",
    "rendered",
]
