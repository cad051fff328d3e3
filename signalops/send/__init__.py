"""Station 5, ACT: a rule has matched, now somebody is told.

In comes a job {tenant, delivery}; out goes a message through the delivery's channel, and what came of it.

It writes `deliveries` (after record_batch has inserted them), `delivery_attempts`, `dead_letters` of kind delivery, and
`channels`.

Invariant: a delivery ends as `sent`, or as `dead` with its letter. Every attempt is on record unless its worker died,
and all attempts of one delivery carry the same id (webhook-id, Message-ID). The receiver is told at least once; twice
only after a crash between its answer and our record.

    deliver.py    one attempt, and what follows from it
    template.py   the rule's template -> the message
    channels/     email, webhook: a file and a class each
    backoff.py    when to try again
    secrets.py    the keys that seal channels' secrets
    manage.py     adding a channel
"""

from signalops.send.deliver import Sender
from signalops.send.manage import add_channel
from signalops.send.model import NewChannel
from signalops.send.secrets import Keyring, keep_key
from signalops.send.store import ChannelRow, list_channels
from signalops.send.template import check as check_template

__all__ = [
    "ChannelRow",
    "Keyring",
    "NewChannel",
    "Sender",
    "add_channel",
    "check_template",
    "keep_key",
    "list_channels",
]
