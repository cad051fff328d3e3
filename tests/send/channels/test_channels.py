"""Configurations of channels, the signature of webhooks, and the mail as it is written."""

import base64
import json
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError
from svix.webhooks import Webhook as Svix

from signalops.config import Settings
from signalops.errors import Invalid
from signalops.send.channels import CHANNELS, configured
from signalops.send.channels.email import Email
from signalops.send.channels.webhook import signed
from signalops.send.mail import Mail
from signalops.send.message_models import Envelope, Message, Notification
from signalops.types import ChannelKind, DeliveryId, TenantId

DELIVERY = DeliveryId(UUID("01934567-89ab-7def-8123-456789abcdef"))
SENDER = "SignalOps <signalops@example.com>"
OWN = {"host": "mail.acme.com", "username": "acme", "sender": "ops@acme.com"}
PUBLIC = Settings(send_allowed_networks=(), send_ports=(80, 443), send_plain_http=False, mail_from=SENDER)


def envelope(subject: str, body: str = "", html: str | None = None, severity: str = "info") -> Envelope:
    notification = Notification({}, {"severity": severity})
    return Envelope(DELIVERY, notification, Message(subject, body, html), None)


def test_the_signature_is_that_of_the_standard_s_example() -> None:
    headers = signed(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', timestamp=1614265330
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
    Svix(secret).verify(body, signed(secret, "msg_1", body))


def test_a_webhook_s_secret_is_made_when_none_is_given_and_checked_when_one_is() -> None:
    normalize_secret = configured("webhook", {"url": "https://example.com"}).normalize_secret
    made = normalize_secret(None)
    assert made is not None
    assert len(base64.b64decode(made.removeprefix("whsec_"))) == 32
    assert made != normalize_secret(None)
    assert normalize_secret(made) == made
    for bad in ("whsec_c2hvcnQ=", "whsec_!!!", "päss", "", " ", f"{made} whsec_c2hvcnQ=", f"{made},{made}"):
        with pytest.raises(Invalid, match="leave it out to have one made"):
            normalize_secret(bad)


@pytest.mark.parametrize("known", ["old", "new"])
def test_of_two_secrets_each_is_enough_to_verify(known: str) -> None:
    channel = configured("webhook", {"url": "https://example.com"})
    secrets = {"new": channel.normalize_secret(None), "old": channel.normalize_secret(None)}
    both = channel.normalize_secret(f"{secrets['new']} {secrets['old']}")
    secret = secrets[known]
    assert both is not None
    assert secret is not None
    headers = signed(both, "msg_1", b"{}")
    assert headers["webhook-signature"].split()[0] == signed(secrets["new"] or "", "msg_1", b"{}")["webhook-signature"]
    assert Verifier(secret).verify(b"{}", headers) == {}
    Svix(secret).verify(b"{}", headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(channel.normalize_secret(None) or "").verify(b"{}", headers)


def test_an_email_s_secret_is_the_password_of_a_mail_server_of_its_own() -> None:
    plain, own = configured("email", {"to": "a@b.example"}), configured("email", {"to": "a@b.example", "server": OWN})
    assert plain.normalize_secret(None) is None
    assert own.normalize_secret("pass word") == "pass word"
    with pytest.raises(Invalid, match="needs no secret"):
        plain.normalize_secret("x")
    for bad in (None, "", "a\nb", "x" * 501):
        with pytest.raises(Invalid, match="password"):
            own.normalize_secret(bad)


def test_a_mail_server_of_the_tenant_s_own_is_checked_when_it_is_named() -> None:
    def check(secret: str | None = "password", **server: Any) -> None:
        configured("email", {"to": "a@b.example", "server": OWN | server}).check(secret, PUBLIC)

    check()
    check(None, username=None)
    for server, secret, match in (
        ({"security": "none"}, "password", "without TLS"),
        ({"host": "127.0.0.1"}, "password", "not on the public internet"),
        ({"host": "localhost"}, "password", "local one"),
        ({"port": 6379}, "password", "Port 6379"),
        ({}, None, "no password"),
    ):
        with pytest.raises(Invalid, match=match):
            check(secret, **server)


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
        ("email", {"to": "a@example.com;b@example.com"}, "to"),
        ("email", {"to": "<a@example.com>"}, "to"),
        ("email", {"to": "@relay.example:a@example.com"}, "to"),
        ("email", {"to": "all:a@example.com,b@example.com;"}, "to"),
        ("email", {"to": '"a b"@example.com'}, "to"),
        ("email", {"to": "root@[127.0.0.1]"}, "to"),
        ("email", {"to": "root%internal.example@example.com"}, "to"),
        ("email", {"to": "a@example.com", "server": {**OWN, "sender": "a@[10.0.0.1]"}}, "server.sender"),
        ("email", {"to": "a@example.com", "server": {**OWN, "sender": "a@b.example, c@d.example"}}, "server.sender"),
        ("email", {"to": "a@example.com", "server": {**OWN, "host": "mail.acme.com\r\nQUIT"}}, "server.host"),
        ("email", {"to": "a@example.com", "server": {**OWN, "username": "a\r\nQUIT"}}, "server.username"),
        ("email", {"to": "a@example.com", "server": {**OWN, "security": "opportunistic"}}, "server.security"),
        ("email", {}, "to"),
        ("email", {"to": "a@example.com", "cc": "b@example.com"}, "cc"),
        ("webhook", {"url": "ftp://example.com"}, "url"),
        ("webhook", {"url": "example.com/hook"}, "url"),
        ("webhook", {"url": "http://user:secret@example.com"}, "url"),
        ("webhook", {"url": "http://example.com\r\nX: y/"}, "url"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_by_field(kind: ChannelKind, config: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid, match=rf"{kind} channel is not valid: {field}"):
        configured(kind, config)


def test_a_configuration_that_fits_is_kept() -> None:
    assert configured("email", {"to": "root@localhost"}).model_dump() == {"to": "root@localhost", "server": None}
    webhook = configured("webhook", {"url": "https://example.com/hook?a=1"})
    assert webhook.model_dump(mode="json") == {"url": "https://example.com/hook?a=1", "headers": {}}


def test_every_kind_has_its_channel() -> None:
    assert set(CHANNELS) == set(get_args(ChannelKind))


def _written(*parts: Any, **options: Any) -> EmailMessage:
    return _read(Email(to="ops@example.com").compose(envelope(*parts, **options), PUBLIC))


def _read(mail: Mail) -> EmailMessage:
    read = message_from_bytes(mail.content, policy=policy.default)
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


@pytest.mark.parametrize(
    ("url", "header", "one_click"),
    [
        (None, "<mailto:signalops@example.com?subject=unsubscribe>", None),
        ("mailto:leave@example.com", "<mailto:leave@example.com>", None),
        ("https://example.com/leave?d={delivery}", f"<https://example.com/leave?d={DELIVERY}>", "List-Unsubscribe=One-Click"),
    ],
)
def test_a_mail_says_how_to_get_no_more(url: str | None, header: str, one_click: str | None) -> None:
    settings = PUBLIC.model_copy(update={"mail_unsubscribe": url})
    mail = _read(Email(to="ops@example.com").compose(envelope("Hello"), settings))
    assert (mail["List-Unsubscribe"], mail["List-Unsubscribe-Post"]) == (header, one_click)


def test_a_mail_through_ses_carries_what_its_events_are_matched_by() -> None:
    settings = PUBLIC.model_copy(update={"ses_configuration_set": "ours"})
    tenant = TenantId(UUID("01934567-89ab-7def-8123-000000000000"))
    sent = replace(envelope("Hello"), tenant=tenant)
    mail = _read(Email(to="ops@example.com").compose(sent, settings))
    assert mail["X-SES-CONFIGURATION-SET"] == "ours"
    assert mail["X-SES-MESSAGE-TAGS"] == f"tenant={tenant}, delivery={DELIVERY}"
    own = _read(Email.model_validate({"to": "ops@example.com", "server": OWN}).compose(sent, settings))
    assert (own["X-SES-CONFIGURATION-SET"], own["From"]) == (None, "ops@acme.com")
