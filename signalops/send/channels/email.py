"""Email: a text, with HTML beside it where the template has some, over SMTP (RFC 5321, RFC 5322)."""

import asyncio
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import ClassVar

import aiosmtplib
from pydantic import field_validator

from signalops import clock
from signalops.send.channels.base import Channel
from signalops.send.markup import Markup
from signalops.send.model import Envelope, Outcome
from signalops.send.transport import Transport


class Email(Channel):
    """Mail to one address, through the installation's mail server."""

    markup: ClassVar[Markup] = "text"
    to: str

    @field_validator("to")
    @classmethod
    def _one_address(cls, to: str) -> str:
        try:
            domain = Address(addr_spec=to).domain
        except (ValueError, IndexError, MessageError):  # the parser of the standard library raises all of them
            domain = ""
        if not (domain and to.isascii() and to.isprintable() and " " not in to):
            raise ValueError("must be one address such as ops@example.com")
        return to

    async def send(self, envelope: Envelope, transport: Transport) -> Outcome:
        settings = transport.settings
        try:
            message = self.compose(envelope, settings.mail_from)
        except ValueError as error:
            return Outcome("permanent", error=f"The mail can't be written ({error}): correct the rule's template.")
        try:
            async with asyncio.timeout(settings.send_timeout):
                _, answer = await aiosmtplib.send(
                    message,
                    hostname=settings.smtp_host,
                    port=settings.smtp_port,
                    username=settings.smtp_username,
                    password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
                    timeout=settings.send_timeout,
                )
        except (aiosmtplib.SMTPException, OSError) as error:
            return _failure(error)
        return Outcome("sent", status_code=250, answer=answer)

    def compose(self, envelope: Envelope, sender: str) -> EmailMessage:
        """Return the mail; ValueError if a header would hold a line break.

        Its Message-ID is made of the delivery's id: a repeated mail can be recognised by it.
        """
        message = EmailMessage()
        message["Message-ID"] = f"<{envelope.delivery.hex}@{parseaddr(sender)[1].rpartition('@')[2]}>"
        message["From"] = sender
        message["To"] = self.to
        message["Subject"] = envelope.message.subject
        message["Date"] = format_datetime(clock.now())
        # RFC 3834: keeps vacation responders quiet.
        message["Auto-Submitted"] = "auto-generated"
        severity = envelope.notification.rule["severity"]
        if severity in ("error", "critical"):
            message["X-SignalOps-Severity"] = severity
        if severity == "critical":
            message["Importance"] = "high"  # RFC 2156, section 5.3.4
        message.set_content(envelope.message.body)
        if envelope.message.html is not None:
            message.add_alternative(envelope.message.html, subtype="html")
        return message


def _failure(error: aiosmtplib.SMTPException | OSError) -> Outcome:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        # 5xx says no to this mail; as a greeting or to a login it says no to whatever we send now.
        of_us = aiosmtplib.SMTPConnectError | aiosmtplib.SMTPAuthenticationError
        final = error.code >= 500 and not isinstance(error, of_us)
        return Outcome(
            "permanent" if final else "temporary",
            status_code=error.code,
            answer=error.message,
            error=f"The mail server answered {error.code}.",
        )
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        return Outcome("permanent", error=f"The mail server can't take this mail: {error}.")
    if isinstance(error, TimeoutError):
        return Outcome("temporary", error="The mail server did not answer in time.")
    return Outcome("temporary", error=f"The mail server can't be reached: {error or type(error).__name__}.")
