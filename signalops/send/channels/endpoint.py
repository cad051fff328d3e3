"""The base of channels that call a URL of the tenant's own, with the tenant's headers."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, HttpUrl
from yarl import URL

from signalops.config import Settings
from signalops.errors import Invalid
from signalops.send.channels.base import Channel
from signalops.send.ssrf_guard import Blocked, Guard

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")  # RFC 9110, 5.6.2: a token
_VALUE = re.compile(r"[!-~]([ -~]{0,1022}[!-~])?")
# Hop by hop (RFC 9110, 7.6.1), or of the message that we write.
_OURS = frozenset(("host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"))
_OURS |= {"idempotency-key", "accept-encoding", "date"}
_OUR_PREFIXES = ("content-", "webhook-", "proxy-")
_CREDENTIALS = frozenset(("authorization", "cookie"))


def header_name(name: str) -> str:
    """Return the name of a header that a tenant may set; ValueError otherwise."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header: use letters, digits and -")
    if name.lower() in _OURS or name.lower().startswith(_OUR_PREFIXES):
        raise ValueError(f"the header {name} is set by SignalOps: leave it out")
    return name


def header_value(value: str) -> str:
    """Return the value of a header; ValueError if it could break the request."""
    if not _VALUE.fullmatch(value):
        raise ValueError("a header's value is 1 to 1024 characters of ASCII without line breaks and outer blanks")
    return value


def _headers(headers: dict[str, str]) -> dict[str, str]:
    names = {header_name(name).lower() for name in headers}
    if len(names) < len(headers):
        raise ValueError("no header may be given twice")
    if credentials := names & _CREDENTIALS:
        raise ValueError(f"the header {min(credentials)} is a credential, and headers can be read: leave it out")
    for value in headers.values():
        header_value(value)
    return headers


def _without_credentials(url: HttpUrl) -> HttpUrl:
    if url.username or url.password:
        raise ValueError("must contain no user and no password: it can be read")
    return url


class Endpoint(Channel):
    """A url of the tenant's own. Its headers can be read: what is secret belongs into the secret."""

    url: Annotated[HttpUrl, AfterValidator(_without_credentials)]
    headers: Annotated[dict[str, str], Field(default_factory=dict, max_length=20), AfterValidator(_headers)]

    def check(self, secret: str | None, settings: Settings) -> None:
        try:
            Guard(settings).check_url(URL(str(self.url)))
        except Blocked as refusal:
            raise Invalid(str(refusal)) from refusal
        except ValueError as error:  # two parsers, two opinions
            raise Invalid("The url can't be called: correct it.") from error
