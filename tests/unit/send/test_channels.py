"""Configurations of channels, the signature of webhooks, and the mail as it is written."""

import base64
import json
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier

from signalops.errors import Invalid
from signalops.send.channels import CHANNELS, configured
from signalops.send.channels.email import Email
from signalops.send.channels.webhook import Webhook, signed
from signalops.send.model import Envelope, Message, Notification
from signalops.terms import ChannelKind, DeliveryId

DELIVERY = DeliveryId(UUID("01934567-89ab-7def-8123-456789abcdef"))
SENDER = "SignalOps <signalops@example.com>"


def envelope(subject: str, body: str = "", html: str | None = None, severity: str = "info") -> Envelope:
    notification = Notification({}, {"severity": severity})
    return Envelope(DELIVERY, notification, Message(subject, body, html), None)


def test_the_signature_is_that_of_the_standard_s_example() -> None:
    headers = signed(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        timestamp=1614265330,
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(st.dictionaries(st.text(), st.text()), st.binary(min_size=24, max_size=64))
def test_the_standard_s_own_package_verifies_the_signature(document: dict[str, str], key: bytes) -> None:
    secret, body = f"whsec_{base64.b64encode(key).decode()}", json.dumps(document).encode()
    assert Verifier(secret).verify(body, signed(secret, "msg_1", body)) == document


def test_a_webhook_s_secret_is_made_when_none_is_given_and_checked_when_one_is() -> None:
    made = Webhook.keep_secret(None)
    assert len(base64.b64decode(made.removeprefix("whsec_"))) == 32
    assert made != Webhook.keep_secret(None)
    assert Webhook.keep_secret(made) == made
    for bad in ("whsec_c2hvcnQ=", "whsec_!!!", "päss"):
        with pytest.raises(Invalid, match="leave it out to have one made"):
            Webhook.keep_secret(bad)


def test_an_email_needs_no_secret() -> None:
    assert Email.keep_secret(None) is None
    with pytest.raises(Invalid, match="needs no secret"):
        Email.keep_secret("x")


@pytest.mark.parametrize(
    ("kind", "config", "field"),
    [
        ("email", {"to": "nobody"}, "to"),
        ("email", {"to": ""}, "to"),
        ("email", {"to": "a@"}, "to"),
        ("email", {"to": "@example.com"}, "to"),
        ("email", {"to": "a@example.com, b@example.com"}, "to"),
        ("email", {"to": "a@example.com,b@example.com"}, "to"),
        ("email", {"to": "A <a@example.com>"}, "to"),
        ("email", {"to": "a@example.com\r\nBcc: b@example.com"}, "to"),
        ("email", {"to": "ä@example.com"}, "to"),
        ("email", {}, "to"),
        ("email", {"to": "a@example.com", "cc": "b@example.com"}, "cc"),
        ("webhook", {"url": "ftp://example.com"}, "url"),
        ("webhook", {"url": "example.com/hook"}, "url"),
        ("webhook", {"url": "http://user:secret@example.com"}, "url"),
        ("webhook", {"url": "http://example.com\r\nX: y/"}, "url"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_by_field(
    kind: ChannelKind, config: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid, match=rf"{kind} channel is not valid: {field}"):
        configured(kind, config)


def test_a_configuration_that_fits_is_kept() -> None:
    assert configured("email", {"to": "root@localhost"}).model_dump() == {"to": "root@localhost"}
    webhook = configured("webhook", {"url": "https://example.com/hook?a=1"})
    assert webhook.model_dump(mode="json") == {"url": "https://example.com/hook?a=1"}
    assert set(CHANNELS) == {"email", "webhook"}


def _written(*parts: Any, **options: Any) -> EmailMessage:
    message = Email(to="ops@example.com").compose(envelope(*parts, **options), SENDER)
    read = message_from_bytes(message.as_bytes(policy=policy.SMTP), policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


def _text(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content()).strip()


def test_html_stands_beside_the_text() -> None:
    mail = _written("Hello", "Grüße", "<p>Grüße</p>")
    assert mail.get_content_type() == "multipart/alternative"
    assert (_text(mail, "plain"), _text(mail, "html")) == ("Grüße", "<p>Grüße</p>")
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize(
    ("severity", "shown", "importance"),
    [("info", None, None), ("warning", None, None), ("error", "error", None), ("critical", "critical", "high")],
)
def test_a_mail_shows_a_severity_that_matters(severity: str, shown: str | None, importance: str | None) -> None:
    mail = _written("Disk full", severity=severity)
    assert (mail["Subject"], mail["X-SignalOps-Severity"], mail["Importance"]) == ("Disk full", shown, importance)


def test_a_mail_carries_the_delivery_s_id_and_both_addresses() -> None:
    read = _written("Grüße", "Zeile\n" + "ü" * 2000)
    assert read["Message-ID"] == f"<{DELIVERY.hex}@example.com>"
    assert (read["From"], read["To"], read["Subject"]) == (SENDER, "ops@example.com", "Grüße")
    assert read.get_content().splitlines() == ["Zeile", "ü" * 2000]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_no_subject_adds_a_header(subject: str) -> None:
    try:
        read = _written(subject.strip())
    except ValueError:
        assert len(subject.strip().splitlines()) > 1
    else:
        assert set(read.keys()) == {
            *("Message-ID", "From", "To", "Subject", "Date", "Auto-Submitted"),
            *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
        }
