"""Station 5, ACT: a rule has matched, now somebody is told.

In comes a job {tenant, delivery, more}; out go messages through the deliveries' channels, and what came of them.

It writes `deliveries` (after record_batch has inserted them), `delivery_attempts`, `dead_letters` of kind delivery, `channels`
with their `outlets` and `channel_queues`, and `suppressions`.

Invariant: a delivery ends as `sent` (and may go on to `delivered` and `read`), `cancelled`, `suppressed`, or `dead` with its
letter. Every attempt is on record unless its worker died, and all attempts of one delivery carry the same id (webhook-id,
Message-ID). The receiver is told at least once; twice only after a crash between its answer and our record.

    deliver.py    one attempt, and what follows from it
    record.py     attempts on record, many in one statement
    template.py   the rule's template -> the message; its language is in README.md
    engine.py     Liquid, bounded
    filters.py    its filters, bounded
    output.py     its output, neutralised
    markup.py     what a value may not do to the markup it is written into
    fields.py     which fields of the event a template refers to
    channels/     a file and a class for each kind
    backoff.py    when to try again
    secrets.py    the keys that seal channels' secrets
    manage/       channels as people manage them
    deliveries/   deliveries as people look at them
    letters/      dead letters as people take them in hand
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
