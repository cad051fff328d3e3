"""The adapter from rules to templates: rules and send do not import each other, so rendering is injected."""

from collections.abc import Mapping

from signalops.rules.validate import RenderContext
from signalops.send import Message, Notification, check_template, fields_of, rendered
from signalops.send.channels import CHANNELS
from signalops.types import ChannelKind, TenantId


class SendTemplates:
    """The templates of `signalops.send`."""

    check = staticmethod(check_template)
    fields_of = staticmethod(fields_of)

    @staticmethod
    async def render(tenant: TenantId, channel: ChannelKind, template: Mapping[str, str], context: RenderContext) -> Message:
        """Return the message as a kind of channel sends it; Invalid if that fails."""
        return await rendered(tenant, template, Notification(*context[:5], time_zone=context.time_zone), CHANNELS[channel].markup)
