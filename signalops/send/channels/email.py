"""Email: a text, with HTML beside it where the template has some, over SMTP (RFC 5321, RFC 5322)."""

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import format_datetime, parseaddr
from typing import Annotated, ClassVar

import aiosmtplib
from pydantic import AfterValidator, ConfigDict, Field

from signalops import clock
from signalops.config import Settings
from signalops.correlation import outbound
from signalops.errors import Invalid
from signalops.models import ApiModel
from signalops.send.channels.base import Channel
from signalops.send.mail import Mail, named_address, prose, written
from signalops.send.markup import Markup
from signalops.send.message_models import Envelope, Outcome
from signalops.send.smtp import Busy, Security, Server
from signalops.send.ssrf_guard import Blocked, Guard
from signalops.send.transport import Transport
from signalops.validation import shape

_SES_ID = re.compile(r"Ok ([0-9A-Za-z-]{1,200})")


def _one_address(address: str) -> str:
    if not address.isascii():
        raise ValueError(_in_ascii(address))
    try:
        domain = Address(addr_spec=address).domain
    except (ValueError, IndexError, MessageError):  # the parser of the standard library raises all of them
        domain = ""
    # `a%b@host` asks a relay to send on to b, and a domain literal names a host past any check of names.
    if not (domain and address.isascii() and address.isprintable() and not set(address) & set(' ,;:<>()"%[]')):
        raise ValueError("must be one address such as ops@example.com, without % and without a domain literal")
    return address


def _in_ascii(address: str) -> str:
    """Return what to write instead of an address that is not ASCII: SMTP takes others only with an extension (RFC 6531)."""
    local, _, domain = address.rpartition("@")
    if local.isascii():
        with suppress(UnicodeError):
            return f"must be written in ASCII, its domain in punycode: {local}@{domain.encode('idna').decode()}"
    return "must be written in ASCII: addresses of other letters before the @ (SMTPUTF8) are not supported"


OneAddress = Annotated[str, Field(max_length=254), AfterValidator(_one_address)]


class MailServer(ApiModel):
    """A tenant's own mail server; the channel's secret is the password of `username`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        pattern=shape(
            r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$",
            "must be a host name or an IP address, without a scheme or a port, such as mail.example.com",
        )
    )
    port: int = Field(587, ge=1, le=65535)
    security: Security = Field("starttls", description="starttls; tls from the first byte on (port 465); none.")
    username: str | None = Field(None, pattern=shape(r"^[ -~]{1,256}$", "must be 1 to 256 printable ASCII characters"))
    sender: OneAddress = Field(description="Whom its mails come from.")


class Email(Channel):
    """Mail to one address, through the installation's mail server or one of the tenant's own."""

    markup: ClassVar[Markup] = "text"
    to: OneAddress
    server: MailServer | None = None

    @property
    def takes_secret(self) -> bool:
        return self.server is not None and self.server.username is not None

    def normalize_secret(self, secret: str | None) -> str | None:
        if not self.takes_secret:
            return super().normalize_secret(secret)
        if not secret or len(secret) > 500 or not secret.isprintable():
            raise Invalid("The secret must be the password of the mail server's username, in one line.")
        return secret

    def check(self, secret: str | None, settings: Settings) -> None:
        if self.server is None:
            return
        if self.server.username and secret is None:
            raise Invalid("The channel has no password for its mail server: give it one.")
        if self.server.security == "none" and not settings.send_plain_http:
            raise Invalid("The mail server would be used without TLS: set security to starttls or tls.")
        try:
            Guard(settings).check_server(self.server.host, self.server.port)
        except Blocked as refusal:
            raise Invalid(str(refusal)) from refusal

    async def send(self, envelope: Envelope, transport: Transport) -> Outcome:
        settings = transport.settings
        try:
            # In a thread: a body may have half a megabyte.
            mail = await asyncio.to_thread(self.compose, envelope, settings)
        except ValueError as error:
            return Outcome("permanent", error=f"The mail can't be written ({error}): correct the rule's template.")
        self.check(envelope.secret, settings)
        server = self._server(settings, envelope.secret)
        try:
            answer = await transport.mailer.send(server, mail)
        except (aiosmtplib.SMTPException, OSError) as error:
            return _failure(error, server)
        is_ses = self.server is None and settings.ses_configuration_set is not None
        name = _SES_ID.match(answer) if is_ses else None
        return Outcome("sent", status_code=250, answer=answer, provider_id=name and name[1])

    def compose(self, envelope: Envelope, settings: Settings) -> Mail:
        """Return the mail; ValueError if a header would contain a line break.

        Its Message-ID is derived from the delivery's id, by which a repeated mail can be recognised.
        """
        headers, message = self._headers(envelope, settings) | _priority_headers(envelope), envelope.message
        sender = parseaddr(self.server.sender if self.server else settings.mail_from)[1]
        return Mail(sender, self.to, written(headers, message.body, message.html))

    def _headers(self, envelope: Envelope, settings: Settings) -> dict[str, str]:
        sender = self.server.sender if self.server else settings.mail_from
        address = parseaddr(sender)[1]
        return {
            "Message-ID": f"<{envelope.delivery.hex}@{address.rpartition('@')[2]}>",
            "From": named_address(sender),
            "To": self.to,
            "Subject": prose("Subject", envelope.message.subject),
            "Date": format_datetime(clock.now()),
            "Auto-Submitted": "auto-generated",  # RFC 3834: keeps vacation responders quiet
            **outbound(),
            **_unsubscribing(envelope, settings.mail_unsubscribe or f"mailto:{address}?subject=unsubscribe"),
            **({} if self.server else _known_to_ses(envelope, settings)),
        }

    def _server(self, settings: Settings, secret: str | None) -> Server:
        if theirs := self.server:
            return Server(theirs.host, theirs.port, theirs.security, theirs.username, secret, theirs=True)
        password = settings.smtp_password.get_secret_value() if settings.smtp_password else None
        return Server(settings.smtp_host, settings.smtp_port, settings.mail_security, settings.smtp_username, password)


def _priority_headers(envelope: Envelope) -> dict[str, str]:
    severity = envelope.notification.rule["severity"]
    shown = {"X-SignalOps-Severity": severity} if severity in ("error", "critical") else {}
    return shown | ({"Importance": "high"} if severity == "critical" else {})  # RFC 2156, section 5.3.4


def _unsubscribing(envelope: Envelope, url: str) -> dict[str, str]:
    """Return the headers of RFC 2369 and, for https, RFC 8058: the URL must identify the recipient and the list."""
    headers = {"List-Unsubscribe": f"<{url.replace('{delivery}', str(envelope.delivery))}>"}
    one_click = {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    return headers | (one_click if url.startswith("https://") else {})


def _known_to_ses(envelope: Envelope, settings: Settings) -> Mapping[str, str]:
    """Return the headers by which SES reports the mail's status and its delivery.

    https://docs.aws.amazon.com/ses/latest/dg/event-publishing-send-email.html
    """
    if settings.ses_configuration_set is None:
        return {}
    tags = f"tenant={envelope.tenant}, delivery={envelope.delivery}"
    return {"X-SES-CONFIGURATION-SET": settings.ses_configuration_set, "X-SES-MESSAGE-TAGS": tags}


def _failure(error: aiosmtplib.SMTPException | OSError, server: Server) -> Outcome:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _refusal(error, server)
    if isinstance(error, Blocked | Busy):
        return Outcome("misconfigured" if isinstance(error, Blocked) else "transient", error=str(error))
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        return Outcome("permanent", error=f"The mail server can't take this mail: {error}.")
    if isinstance(error, TimeoutError):
        return Outcome("transient", error="The mail server did not answer in time.")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Outcome("transient", error="The mail server's certificate can't be verified.")
    return Outcome("transient", error=f"The mail server can't be reached: {error or type(error).__name__}.")


def _refusal(error: aiosmtplib.SMTPResponseException, server: Server) -> Outcome:
    """Classify an SMTP code: 5xx rejects this mail; as a greeting or to a login it rejects every mail at present."""
    outcome = Outcome("transient", error.code, error.message, f"The mail server answered {error.code}.")
    if isinstance(error, aiosmtplib.SMTPAuthenticationError) and server.theirs and error.code >= 500:
        return replace(outcome, kind="misconfigured", error=f"The mail server refused the login ({error.code}): correct it.")
    of_us = aiosmtplib.SMTPConnectError | aiosmtplib.SMTPAuthenticationError
    return replace(outcome, kind="permanent") if error.code >= 500 and not isinstance(error, of_us) else outcome
