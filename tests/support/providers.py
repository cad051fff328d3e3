"""Stand-ins that speak as providers do: a mail server with TLS and logins, Telegram, WhatsApp, and SNS with a key of its own."""

import base64
import hashlib
import hmac
import json
import queue
import ssl
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from aiohttp import web
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from signalops import clock
from tests.support.receivers import Mailbox, Receiver

LOGIN = ("acme", "right password")


class MailServer(Mailbox):
    """A mailbox behind TLS and a login. It notes from which connection each mail came, and who says goodbye."""

    def __init__(self, tls: ssl.SSLContext | None = None, implicit: bool = False, login: bool = False, port: int = 0) -> None:
        upgraded = tls is not None and not implicit
        options: dict[str, Any] = {"auth_require_tls": upgraded}
        if tls:
            options |= {"ssl_context": tls} if implicit else {"tls_context": tls, "require_starttls": True}
        if login:
            options |= {"authenticator": self._authenticate, "auth_required": upgraded}
        super().__init__(port, **options)
        self.peers: list[tuple[Any, bool]] = []
        self.passwords: list[bytes] = []
        self.farewells: queue.Queue[Any] = queue.Queue()
        self.rset_replies: list[str] = []

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of a channel that sends through it."""
        return {"host": "127.0.0.1", "port": self.port, "username": LOGIN[0], "sender": "ops@acme.example"}

    def _authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword) -> AuthResult:
        self.passwords.append(data.password)
        return AuthResult(success=(data.login.decode(), data.password.decode()) == LOGIN, handled=False)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        is_encrypted = session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None
        self.peers.append((session.peer, is_encrypted))
        return await super().handle_DATA(server, session, envelope)

    async def handle_RSET(self, server: Any, session: Any, envelope: Any) -> str:
        return self.rset_replies.pop() if self.rset_replies else "250 OK"

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:
        self.farewells.put(session.peer)
        return "221 bye"


def base(receiver: Receiver) -> str:
    """Return the receiver's address as an operator configures a provider's."""
    return f"http://127.0.0.1:{receiver.port}"


def telegram_sent(message: int = 42) -> web.Response:
    """Answer as the Bot API does when it has taken a message."""
    chat = {"id": -1001, "type": "supergroup", "title": "Ops"}
    return web.json_response({"ok": True, "result": {"message_id": message, "chat": chat, "date": 1}})


def telegram_refused(status: int, description: str, **parameters: int) -> web.Response:
    """Answer as the Bot API does when it has not."""
    document = {"ok": False, "error_code": status, "description": description}
    return web.json_response(document | ({"parameters": parameters} if parameters else {}), status=status)


def whatsapp_sent(message: str = "wamid.one") -> web.Response:
    """Answer as the Cloud API does when it has taken a message."""
    contacts = [{"input": "+4915112345678", "wa_id": "4915112345678"}]
    return web.json_response({"messaging_product": "whatsapp", "contacts": contacts, "messages": [{"id": message}]})


def whatsapp_refused(status: int, code: int, details: str) -> web.Response:
    """Answer as the Cloud API does when it has not."""
    data = {"messaging_product": "whatsapp", "details": details}
    error = {"message": f"(#{code}) Refused", "type": "OAuthException", "code": code, "error_data": data}
    return web.json_response({"error": error | {"fbtrace_id": "AbCd"}}, status=status)


def whatsapp_status(status: str, message: str = "wamid.one", delivery: UUID | None = None) -> dict[str, Any]:
    """Return a status as Meta posts it."""
    status_of_message = {"id": message, "status": status, "timestamp": "1760000000", "recipient_id": "4915112345678"}
    if delivery:
        status_of_message["biz_opaque_callback_data"] = str(delivery)
    if status == "failed":
        return status_of_message | {
            "errors": [{"code": 131026, "title": "Message undeliverable", "error_data": {"details": "No WhatsApp"}}]
        }
    return status_of_message | {"conversation": {"id": "c", "origin": {"type": "utility"}}, "pricing": {"billable": True}}


def whatsapp_post(*statuses: dict[str, Any]) -> bytes:
    """Return the body that tells of statuses."""
    metadata = {"display_phone_number": "15550001", "phone_number_id": "1234567"}
    value = {"messaging_product": "whatsapp", "metadata": metadata, "statuses": statuses}
    account = {"id": "8", "changes": [{"field": "messages", "value": value}]}
    other = {"id": "8", "changes": [{"field": "account_update", "value": {"event": "VERIFIED_ACCOUNT"}}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [other, account]}).encode()


def hub_signature(body: bytes, secret: str) -> dict[str, str]:
    """Sign a body as Meta does."""
    return {"x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


@cache
def _rsa_key() -> RSAPrivateKey:
    """Return the key of all signers: making one takes 0.2 s."""
    return generate_private_key(65537, 2048)


class Sns:
    """A signer of posts with a certificate of its own, which it serves."""

    topic = "arn:aws:sns:eu-west-1:123456789012:ses"

    def __init__(self, receiver: Receiver, lifetime: timedelta = timedelta(days=1)) -> None:
        self.url = base(receiver)
        self.certificate_url = f"{self.url}/SimpleNotificationService-0123abcd.pem"
        self._key = _rsa_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        made = x509.CertificateBuilder(name, name, self._key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(clock.now() - timedelta(days=9)).not_valid_after(clock.now() + lifetime)
        self.certificate = made.sign(self._key, SHA256()).public_bytes(Encoding.PEM)

    def served(self) -> web.Response:
        """Return the answer that holds the certificate."""
        return web.Response(body=self.certificate, content_type="application/x-pem-file")

    def post(self, message: str, type_: str = "Notification", version: str = "2", **changed: str) -> dict[str, str]:
        """Return a signed post; what is changed is so before it is signed."""
        post = {"Type": type_, "MessageId": "m-1", "TopicArn": self.topic, "Message": message}
        post |= {"Timestamp": "2026-11-23T12:00:00.000Z", "SignatureVersion": version}
        post |= {"SigningCertURL": self.certificate_url}
        if type_ != "Notification":
            post |= {"Token": "t0ken", "SubscribeURL": f"{self.url}/?Action=ConfirmSubscription"}
        return self.signed(post | changed)

    def signed(self, post: dict[str, str]) -> dict[str, str]:
        """Sign a post, as the manual says: its fields in order, a line each of name and value."""
        if post["Type"] == "Notification":
            names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
        else:
            names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        text = "".join(f"{name}\n{post[name]}\n" for name in names if name in post).encode()
        digest = SHA1() if post["SignatureVersion"] == "1" else SHA256()
        return post | {"Signature": base64.b64encode(self._key.sign(text, PKCS1v15(), digest)).decode()}


def ses_event(tenant: UUID, delivery: UUID, kind: str, **detail: Any) -> str:
    """Return an event as SES publishes it; `detail` is that of its kind."""
    tags = {"tenant": [str(tenant)], "delivery": [str(delivery)], "ses:configuration-set": ["ours"]}
    mail = {"messageId": "0100-ses-1", "destination": ["Ops@example.com"], "source": "a@b.example", "tags": tags}
    return json.dumps({"eventType": kind, "mail": mail, kind.lower(): detail})
