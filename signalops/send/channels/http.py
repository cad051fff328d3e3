"""HTTP: a request to any API; the rule's template writes its body."""

import re
from typing import Annotated, ClassVar, Literal

import orjson
from pydantic import AfterValidator, Field

from signalops.errors import Invalid
from signalops.send.channels.endpoint import Endpoint, header_name, header_value
from signalops.send.markup import Markup
from signalops.send.message_models import Envelope, Outcome
from signalops.send.transport import Request, Transport

_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+(; ?charset=utf-8)?", re.IGNORECASE)


def _media_type(name: str) -> str:
    if not _MEDIA_TYPE.fullmatch(name):
        raise ValueError("must be a media type such as application/json, without parameters but charset=utf-8")
    return name


class Http(Endpoint):
    """A request whose body is the message's body as it is; Idempotency-Key is the same in all attempts at a delivery.

    The secret, if there is one, is the value of `secretHeader`: such as `Bearer ...` of Authorization.
    """

    markup: ClassVar[Markup] = "json"
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    content_type: Annotated[str, Field(max_length=100), AfterValidator(_media_type)] = "application/json"
    secret_header: Annotated[str, Field("Authorization"), AfterValidator(header_name)]

    @property
    def body_markup(self) -> Markup:
        return "json" if self.content_type.partition(";")[0].lower().endswith("json") else "text"

    def normalize_secret(self, secret: str | None) -> str | None:
        try:
            return secret if secret is None else header_value(secret)
        except ValueError as error:
            raise Invalid(f"The secret can't be sent: {error}.") from error

    async def send(self, envelope: Envelope, transport: Transport) -> Outcome:
        body = envelope.message.body
        if self.body_markup == "json" and (mistake := _mistake(body)):
            return Outcome("misconfigured", error=f"The body is not JSON ({mistake}): correct the rule's template.")
        headers = {**self.headers, "Content-Type": self.content_type, "Idempotency-Key": str(envelope.delivery)}
        credential = None
        if envelope.secret is not None:
            headers[self.secret_header] = envelope.secret
            credential = envelope.secret.rpartition(" ")[2]  # without the scheme, such as Bearer
        return await transport.call(Request(str(self.url), body.encode(), headers, self.method, credential))


def _mistake(body: str) -> str | None:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return str(error)
    return None
