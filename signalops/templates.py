"""What rules ask of templates, answered by sending: handed in here, since stations do not see one another."""

from collections.abc import Mapping

from signalops.rules.validate import RenderContext
from signalops.send import Message, Notification, check_template, fields_of, rendered
from signalops.send.channels import CHANNELS
from signalops.terms import ChannelKind, TenantId


class SendTemplates:
    """The templates of `signalops.send`."""

    check = staticmethod(check_template)
    fields_of = staticmethod(fields_of)

    @staticmethod
    async def render(tenant: TenantId, channel: ChannelKind, template: Mapping[str, str], told: RenderContext) -> Message:
        """Return the message as a kind of channel sends it; Invalid if that fails."""
        return await rendered(tenant, template, Notification(*told[:5], time_zone=told.time_zone), CHANNELS[channel].markup)
