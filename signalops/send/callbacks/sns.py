"""Parses posts of Amazon SNS, and verifies their signature.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import base64
import re
from collections.abc import Mapping
from functools import partial
from typing import Literal

import aiohttp
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_pascal

from signalops import clock, strict_json
from signalops.cache import Cache
from signalops.config import Settings
from signalops.errors import Forbidden, Malformed, Overloaded
from signalops.send.transport import Transport

MAX_BYTES = 1024 * 1024
"""SNS's largest message has 256 KiB, and may be escaped within its post."""
_MAX_CERTIFICATE = 16 * 1024
_MAX_KNOWN = 8
_FILE = re.compile(r"/SimpleNotificationService-[0-9A-Za-z]{1,100}\.pem")
_UNSIGNED = "The post is not signed by SNS for the topic of this installation."


class SnsPost(BaseModel):
    """What SNS posts."""

    model_config = ConfigDict(alias_generator=to_pascal)

    type: Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]
    message_id: str
    topic_arn: str
    message: str
    timestamp: str
    subject: str | None = None
    token: str | None = None
    subscribe_url: str | None = Field(None, alias="SubscribeURL")
    signature: str
    signature_version: Literal["1", "2"]
    signing_cert_url: str = Field(alias="SigningCertURL")

    @classmethod
    def of(cls, body: bytes) -> "SnsPost":
        """Read a post; Malformed."""
        try:
            return cls.model_validate(strict_json.parse(body))
        except ValidationError as error:
            raise Malformed("This is no post of SNS: send it as SNS does.") from error

    def signed_text(self) -> bytes:
        """Return what the signature is made of: a line of name and one of value for each field, in this order."""
        further = ("Subject",) if self.type == "Notification" else ("SubscribeURL", "Token")
        values = self.model_dump(by_alias=True, include=None)
        names = sorted(("Message", "MessageId", "Timestamp", "TopicArn", "Type", *further))
        return "".join(f"{name}\n{values[name]}\n" for name in names if values[name] is not None).encode()


class Topic:
    """The one topic whose posts are taken. Remembers the certificates that SNS signs with."""

    def __init__(self, arn: str, settings: Settings) -> None:
        self._arn = arn
        self._settings = settings
        # Only this host: under amazonaws.com anybody can keep a file.
        self._base = settings.sns_url or _home(arn)
        self._certificates = Cache[str, x509.Certificate](_MAX_KNOWN)
        # One for each url: who names one that hangs makes nobody else wait.

    async def verify(self, post: SnsPost) -> None:
        """Raise Forbidden if SNS has not signed the post, Overloaded while that can't be verified."""
        if post.topic_arn != self._arn:
            raise Forbidden(_UNSIGNED)
        certificate = await self._certificate(post.signing_cert_url)
        key = certificate.public_key()
        is_valid = certificate.not_valid_before_utc <= clock.now() <= certificate.not_valid_after_utc
        if not is_valid or not isinstance(key, RSAPublicKey):
            raise Forbidden(_UNSIGNED)
        digest = SHA1() if post.signature_version == "1" else SHA256()  # noqa: S303  version 1 is SNS's default
        try:
            key.verify(base64.b64decode(post.signature), post.signed_text(), PKCS1v15(), digest)
        except (InvalidSignature, ValueError):
            raise Forbidden(_UNSIGNED) from None

    async def confirm(self, post: SnsPost) -> None:
        """Confirm the subscription that a verified post asks about; Overloaded if SNS does not take it."""
        query = {"Action": "ConfirmSubscription", "TopicArn": self._arn, "Token": post.token or ""}
        await self._get(f"{self._base}/", query)

    async def _certificate(self, url: str) -> x509.Certificate:
        """Return the certificate of a url of SNS's own, read once."""
        if not (url.startswith(self._base) and _FILE.fullmatch(url.removeprefix(self._base))):
            raise Forbidden(_UNSIGNED)
        return await self._certificates.load(url, partial(self._read, url))

    async def _read(self, url: str, _: object) -> x509.Certificate:
        return _parsed(await self._get(url))

    async def _get(self, url: str, query: Mapping[str, str] | None = None) -> bytes:
        transport = Transport(self._settings)
        try:
            async with transport.http().get(url, params=query, allow_redirects=False) as answer:
                if answer.status == 200:
                    return await _whole(answer.content)
        except (aiohttp.ClientError, OSError):
            pass
        finally:
            await transport.close()
        raise Overloaded("SNS can't be asked just now: post it again.", headers={"Retry-After": "60"})


async def _whole(content: aiohttp.StreamReader) -> bytes:
    """Return a whole response body, which can come in parts; an aiohttp error if it is longer than any certificate."""
    read = bytearray()
    async for part in content.iter_any():
        read += part
        if len(read) > _MAX_CERTIFICATE:
            raise aiohttp.ClientPayloadError("the answer is too long")
    return bytes(read)


def _home(arn: str) -> str:
    """Return the address of SNS in a topic's region."""
    _, partition, _, region, *_ = arn.split(":")
    return f"https://sns.{region}.amazonaws.com{'.cn' if partition == 'aws-cn' else ''}"


def _parsed(text: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(text)
    except ValueError:
        raise Forbidden(_UNSIGNED) from None
