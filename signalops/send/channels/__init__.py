"""The kinds of channels. A new kind is a file here with one class, and its entry in the table below.

Its name is a word of `types.ChannelKind`, which the check on `channels.kind` knows, too.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from signalops.errors import Invalid
from signalops.send.channels.base import Channel
from signalops.send.channels.email import Email
from signalops.send.channels.http import Http
from signalops.send.channels.slack import Slack
from signalops.send.channels.telegram import Telegram
from signalops.send.channels.webhook import Webhook
from signalops.send.channels.whatsapp import WhatsApp
from signalops.types import ChannelKind

CHANNELS: Mapping[ChannelKind, type[Channel]] = {
    "email": Email,
    "telegram": Telegram,
    "whatsapp": WhatsApp,
    "webhook": Webhook,
    "slack": Slack,
    "http": Http,
}


def configured(kind: ChannelKind, config: Mapping[str, Any]) -> Channel:
    """Return the channel of a configuration; Invalid, naming the field, if the configuration does not fit its kind."""
    try:
        return CHANNELS[kind].model_validate(config)
    except ValidationError as error:
        invalid = Invalid.of(error, config, CHANNELS[kind])
        faults = [fault | {"path": f"config.{fault['path']}".rstrip(".")} for fault in invalid.members["errors"]]
        raise Invalid(f"The configuration of the {kind} channel is not valid: {invalid.detail}", errors=faults) from error
