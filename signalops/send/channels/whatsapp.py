"""WhatsApp: a message of a business number through Meta's Cloud API
(https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages)."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from signalops.errors import Invalid
from signalops.send import template as liquid
from signalops.send.channels.base import Channel, read_object
from signalops.send.markup import NEUTRALISERS, Markup
from signalops.send.message_models import Envelope, Outcome, OutcomeKind
from signalops.send.response import Answer
from signalops.send.transport import Request, Transport
from signalops.types import JsonObject
from signalops.validation import shape

MAX_TEXT_LENGTH = 4096
"""Characters of a text message."""
_FORM = (
    'The secret must be the access token, or {"accessToken": ..., "appSecret": ..., "verifyToken": ...}, '
    "with which statuses can be received."
)

_SECRET = shape(r"^[!-~]{16,200}$", "must be 16 to 200 printable ASCII characters without blanks")


class Credentials(BaseModel):
    """A WhatsApp channel's secret: the access token, and the secret that verifies Meta's callbacks."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, serialize_by_alias=True)

    access_token: str = Field(pattern=shape(r"^[!-~]{1,1000}$", "must be 1 to 1,000 printable ASCII characters without blanks"))
    app_secret: str | None = Field(None, pattern=_SECRET)
    verify_token: str | None = Field(None, pattern=_SECRET)

    @classmethod
    def of(cls, secret: str) -> "Credentials":
        """Parse a secret as it is stored or sent; Invalid."""
        try:
            if secret.startswith("{"):
                return cls.model_validate_json(secret)
            return cls.model_validate({"accessToken": secret})
        except ValidationError:  # its own message would show the secret
            raise Invalid(_FORM) from None


class Template(BaseModel):
    """A message template that Meta has approved: the only way to begin a conversation, or after 24 hours of silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=shape(r"^[a-z0-9_]{1,512}$", "must be a template's name of lower-case letters, digits and _, such as order_paid")
    )
    language: str = Field(
        pattern=shape(r"^[a-z]{2,3}(_[A-Z]{2})?$", "must be a language such as en or en_US"), examples=["en_US"]
    )
    parameters: tuple[str, ...] = Field(
        (), max_length=20, description="The body's parameters in order, each a line of Liquid as a template's subject is."
    )

    @field_validator("parameters")
    @classmethod
    def _can_be_rendered(cls, parameters: tuple[str, ...]) -> tuple[str, ...]:
        for source in parameters:
            try:
                liquid.check({"subject": source})
            except Invalid as error:
                raise ValueError(error.detail.replace("The template's subject", f"{source[:50]!r}")) from error
        return parameters


class WhatsApp(Channel):
    """A business number's messages to one person: texts, or one template filled in."""

    markup: ClassVar[Markup] = "whatsapp"
    to: str = Field(
        pattern=shape(r"^\+[1-9][0-9]{6,14}$", "must be a number with + and its country code, such as +4915112345678"),
        description="The number, with + and its country code (E.164).",
    )
    phone_number_id: str = Field(
        pattern=shape(r"^[0-9]{5,20}$", "must be the id that Meta shows for the number: 5 to 20 digits"),
        description="The id of the sending number.",
    )
    template: Template | None = Field(None, description="Without it a text is sent, which needs an open conversation.")

    def normalize_secret(self, secret: str | None) -> str:
        if secret is None:
            raise Invalid(_FORM)
        credentials = Credentials.of(secret)
        if credentials.app_secret and not credentials.verify_token:
            credentials = credentials.model_copy(update={"verify_token": secrets.token_urlsafe(24)})
        return credentials.model_dump_json(exclude_none=True)

    def made_here(self, secret: str | None, normalized: str | None) -> str | None:
        if secret is None or normalized is None or Credentials.of(secret).verify_token:
            return None
        return Credentials.of(normalized).verify_token

    def account(self, secret: str | None) -> str | None:
        return self.phone_number_id

    async def send(self, envelope: Envelope, transport: Transport) -> Outcome:
        if envelope.secret is None:
            return Outcome("misconfigured", error="The WhatsApp channel has no access token: give it one.")
        token = Credentials.of(envelope.secret).access_token
        body = orjson.dumps(await self.body(envelope))
        url = f"{transport.settings.whatsapp_url}/{self.phone_number_id}/messages"
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        return await transport.call(Request(url, body, headers), classify)

    async def body(self, envelope: Envelope) -> JsonObject:
        """Return the message; Invalid if a parameter of the template can't be rendered.

        Its callbacks carry the delivery's id: one that comes before we have recorded the answer finds it, too.
        """
        return {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": self.to,
            "biz_opaque_callback_data": str(envelope.delivery),
            **({"type": "text", "text": _text(envelope)} if self.template is None else await _filled(self.template, envelope)),
        }


def _text(envelope: Envelope) -> JsonObject:
    subject = NEUTRALISERS["whatsapp"](envelope.message.subject)
    text = f"*{subject}*\n\n{envelope.message.body}"
    return {"body": text if len(text) <= MAX_TEXT_LENGTH else text[: MAX_TEXT_LENGTH - 1] + "…", "preview_url": False}


async def _filled(template: Template, envelope: Envelope) -> JsonObject:
    lines = await liquid.lines(envelope.tenant, template.parameters, envelope.notification)
    # Meta refuses an empty parameter, and one with more than four blanks in a row.
    parameters = [{"type": "text", "text": " ".join(line.split()) or "-"} for line in lines]
    filled: JsonObject = {"name": template.name, "language": {"code": template.language}}
    if parameters:
        filled["components"] = [{"type": "body", "parameters": parameters}]
    return {"type": "template", "template": filled}


# https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes
_KINDS: Mapping[int, OutcomeKind] = {
    **dict.fromkeys((4, 80007, 130429, 131048, 131056), "throttled"),
    **dict.fromkeys((1, 2, 131000, 131016, 131057, 133004), "transient"),
    # the receiver's, or the moment's: 131047 is a text outside the 24 hours, 131026 someone without WhatsApp
    **dict.fromkeys((130472, 131021, 131026, 131030, 131047, 131049, 131050, 131051), "permanent"),
    # the token, permissions, the account, the number or the template
    **dict.fromkeys((0, 3, 10, 33, 100, 190, 368, 131005, 131008, 131009, 131031, 131042, 131045, 133010), "misconfigured"),
    **dict.fromkeys((*range(200, 300), *range(132000, 132017)), "misconfigured"),
}


def classify(answer: Answer) -> Outcome:
    """Classify the Cloud API's response: its error codes are more precise than the status."""
    document = read_object(answer.body)
    if answer.status == 200 and (message := _message_id(document)):
        return replace(answer.outcome("sent"), provider_id=message)
    error = document.get("error")
    if not isinstance(error, dict):
        return answer.outcome(_by_status(answer), f"WhatsApp answered {answer.status}, and nothing that can be read.")
    kind = _KINDS.get(code) if isinstance(code := error.get("code"), int) else None
    return answer.outcome(kind or _by_status(answer), f"WhatsApp answered: {error_text(error)}.")


def error_text(error: Mapping[str, Any]) -> str:
    """Return the text of a Meta error: its details if it has some."""
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    text = details or error.get("message") or error.get("title") or "an error without words"
    return f"{str(text)[:300].rstrip('.')} ({error.get('code', 'no code')})"


def _message_id(document: Mapping[str, Any]) -> str | None:
    match document:
        case {"messages": [{"id": str(message)}, *_]}:
            return message
    return None


def _by_status(answer: Answer) -> OutcomeKind:
    if answer.status == 429:
        return "throttled"
    if answer.status == 401:
        return "misconfigured"
    return "permanent" if 400 <= answer.status < 500 and answer.status != 408 else "transient"
