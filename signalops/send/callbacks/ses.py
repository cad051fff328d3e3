"""Parses what Amazon SES reports through SNS: deliveries, bounces and complaints. Pure.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

from email.utils import parseaddr
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from signalops.send.callbacks.callback_models import AddressToSuppress, ProviderStatus


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class Tags(_Part):
    """The tags that the mail was sent with (X-SES-MESSAGE-TAGS): a list of values each."""

    tenant: tuple[UUID]
    delivery: tuple[UUID]


class Mail(_Part):
    """The mail, by SES's id of it."""

    message_id: str = Field(max_length=500)
    tags: Tags


class Recipient(_Part):
    """One whom the mail did not reach, or who complains of it."""

    email_address: str
    diagnostic_code: str | None = None


class Bounce(_Part):
    """A refusal: for good if it is Permanent."""

    bounce_type: str
    bounced_recipients: list[Recipient] = []


class Complaint(_Part):
    """A report of spam."""

    complained_recipients: list[Recipient] = []


class Event(_Part):
    """An event of a mail of ours."""

    event_type: Literal["Delivery", "Bounce", "Complaint", "Reject"]
    mail: Mail
    bounce: Bounce | None = None
    complaint: Complaint | None = None

    @classmethod
    def of(cls, message: str) -> "Event | None":
        """Read a message; None if it is not about a mail of ours, such as the greeting of a new topic."""
        try:
            return cls.model_validate_json(message)
        except ValidationError:
            return None

    def status(self) -> ProviderStatus | None:
        """Return the status of the delivery. A bounce that is not permanent can be a vacation responder's."""
        name, delivery = self.mail.message_id, self.mail.tags.delivery[0]
        if self.event_type in ("Delivery", "Complaint"):
            return ProviderStatus(name, "delivered", delivery)
        if self.event_type == "Reject":
            return ProviderStatus(name, "dead", delivery, "SES rejected the mail: it contains what it takes for a virus.")
        if not self._is_final:
            return None
        detail = next((one.detail for one in self.addresses_to_suppress()), None)
        return ProviderStatus(name, "dead", delivery, f"The mail bounced: {detail or 'there is no such mailbox'}.")

    def addresses_to_suppress(self) -> list[AddressToSuppress]:
        """Return the addresses that must not be written to any more."""
        if self.complaint:
            return [_unwanted(recipient, "complaint") for recipient in self.complaint.complained_recipients]
        if self.bounce and self._is_final:
            return [_unwanted(recipient, "bounce") for recipient in self.bounce.bounced_recipients]
        return []

    @property
    def _is_final(self) -> bool:
        return self.bounce is not None and self.bounce.bounce_type == "Permanent"


def _unwanted(recipient: Recipient, reason: Literal["bounce", "complaint"]) -> AddressToSuppress:
    address = parseaddr(recipient.email_address)[1] or recipient.email_address
    detail = recipient.diagnostic_code
    return AddressToSuppress(address.lower()[:254], reason, detail and detail[:300].rstrip("."))
