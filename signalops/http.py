"""What the handlers share: strict parsing of requests, pages of lists, and JSON responses."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Self, TypeAlias, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from pydantic import BaseModel, Field, ValidationError
from starlette import requests, responses
from starlette.requests import ClientDisconnect

from signalops import clock, strict_json
from signalops.config import is_this_machine
from signalops.content_coding import coding_of, decoded
from signalops.errors import Invalid, Malformed, NotFound, TooLarge, UnsupportedMedia
from signalops.list_watermark import Settled
from signalops.models import RequestModel
from signalops.types import JsonObject

Headers = Mapping[str, str]
Request: TypeAlias = requests.Request
Response: TypeAlias = responses.Response
Model = TypeVar("Model", bound=BaseModel)
Row = TypeVar("Row")
Value = TypeVar("Value")

MAX_KEY = 255
"""The longest idempotency key of a request that manages something."""
MAX_PAGE_BYTES = 4 * 2**20
"""Bytes after which a page of a list ends; one item it always has."""
_FORWARDED = ("forwarded", "x-forwarded-for")
"""Headers by which a proxy names the original client."""
_LARGE = 64 * 1024
"""Bytes from which on a body is parsed in a thread: less takes the event loop for a millisecond or two at most."""
_PARSING = ThreadPoolExecutor(2, "parse")
_CHARSET = re.compile(r""";\s*charset\s*=\s*"?([^\s";]+)""", re.IGNORECASE)
_FIRST_ID = UUID(int=0)
_LAST_ID = UUID(int=2**128 - 1)


class Query(RequestModel):
    """Parameters of a query; unknown ones are refused."""

    @classmethod
    def of(cls, request: Request) -> Self:
        """Read the query of a request; Invalid by name, also for U+0000, which PostgreSQL takes in no text."""
        parameters = dict(request.query_params)
        for name, value in parameters.items():
            if "\0" in value:
                raise Invalid.at(name, "must contain no U+0000")
        return validated(cls, parameters)


class Page(Query):
    """Query of a list, newest first: the cursors are ids (UUIDv7)."""

    limit: int = Field(20, ge=1, le=100, description="Most items of a page.")
    starting_after: UUID | None = Field(None, description="The last id of the page before: the next older ones.")
    ending_before: UUID | None = Field(None, description="The first id of a page: the next newer ones.")

    @property
    def upwards(self) -> bool:
        """Whether the page is read from its older end."""
        return self.ending_before is not None

    def window(self, settled: Settled | None = None, since: datetime | None = None, until: datetime | None = None) -> JsonObject:
        """Return the exclusive id bounds of the page, with the time range, and a limit of one row more to detect `hasMore`.

        settled: None: rows being inserted now may be missed. Unavailable: see `Settled.before`.
        """
        end = settled.before(until) if settled else until
        return {
            "lower": max(self.ending_before or _FIRST_ID, _before(since) if since else _FIRST_ID),
            "upper": min(self.starting_after or _LAST_ID, _before(end) if end else _LAST_ID),
            "limit": self.limit + 1,
        }

    def listed(self, rows: Sequence[Row], shown: Callable[[Row], object]) -> Response:
        """Answer with a page of rows, newest first, each converted by `shown`; `rows` are in the order of reading."""
        return listed(rows, self.limit, shown, self.upwards)

    def cut(self, rows: Sequence[Row]) -> tuple[list[Row], bool]:
        """Return the page's rows, newest first, and whether there are more."""
        page = list(rows[: self.limit])
        return page[::-1] if self.upwards else page, len(rows) > self.limit


def _before(moment: datetime) -> UUID:
    """Return the largest id before a time. Ids have millisecond precision, so the whole millisecond of the time is excluded."""
    return UUID(int=max(clock.uuid7_floor(moment + timedelta(microseconds=999)).int - 1, 0))


@lru_cache(256)
def is_own_host(host: str) -> bool:
    """Whether a Host header names this machine: localhost, or an address of its own."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_this_machine(name)


def is_from_this_machine(request: Request) -> bool:
    """Whether a program of this machine asks for itself: not a proxy for others."""
    if request.client is None or any(header in request.headers for header in _FORWARDED):
        return False
    return is_this_machine(request.client.host)


def validated(model: type[Model], value: object) -> Model:
    """Validate a value; Invalid names each fault by its path."""
    try:
        return model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        raise Invalid.of(error, value, model) from error


async def read_model(request: Request, model: type[Model], most: int) -> Model:
    """Read a JSON body of at most `most` bytes, strictly; Malformed, TooLarge, UnsupportedMedia, or Invalid by path."""
    headers = headers_of(request)
    if media_type(headers) != "application/json":
        content_type = media_type(headers)[:100] or "nothing"
        raise UnsupportedMedia(
            f"The body must be JSON: send Content-Type: application/json, not {content_type}.",
            headers={"Accept": "application/json"},
        )
    return validated(model, await parsed(await read_body(request, headers, most), strict_json.parse))


def id_of(request: Request, what: str) -> UUID:
    """Return the id in a request's path; what is no id answers as an unknown one does."""
    try:
        return UUID(request.path_params["id"])
    except ValueError:
        raise NotFound(f"There is no such {what}: check the id.") from None


def headers_of(request: Request) -> Headers:
    """Return a request's headers by name in lower case: one pass, where each look-up in Starlette's Headers is one."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.raw}


def idempotency_key(request: Request) -> str | None:
    """Return the header Idempotency-Key, without the quotes that the IETF draft has around it; Invalid."""
    header = headers_of(request).get("idempotency-key")
    if header is None:
        return None
    key = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if not 1 <= len(key) <= MAX_KEY:
        raise Invalid.at("Idempotency-Key", f"must be 1 to {MAX_KEY} characters; shorten it")
    return key


def if_match(request: Request) -> frozenset[str] | None:
    """Return the tags of If-Match (RFC 9110, section 13.1.1); None: any state."""
    header = request.headers.get("if-match", "*").strip()
    return None if header == "*" else frozenset(tag.strip().strip('"') for tag in header.split(","))


def body_hash(body: BaseModel) -> bytes:
    """Return the SHA-256 of a request body: the same idempotency key with another hash is a conflict."""
    return hashlib.sha256(orjson.dumps(body.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).digest()


def media_type(headers: Headers) -> str:
    """Return a request's media type, in lower case and without parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, headers: Headers, most: int) -> bytes:
    """Read a request's body, decompressed, of at most `most` bytes; TooLarge, UnsupportedMedia, or Malformed if it is
    incomplete."""
    coding = coding_of(",".join(request.headers.getlist("content-encoding"))) if "content-encoding" in headers else None
    if "content-range" in headers:  # RFC 9110, section 14.5: a part must not be taken for the whole
        raise Malformed("Content-Range: a part of a body can't be taken; send all of it, without the header.")
    _check_charset(headers)
    body = await _received(request, headers, most)
    if coding is None:
        return body
    if len(body) <= _LARGE // 8:
        return decoded(body, coding, most)
    return await asyncio.get_running_loop().run_in_executor(_PARSING, decoded, body, coding, most)


def _check_charset(headers: Headers) -> None:
    """Raise UnsupportedMedia for a charset other than UTF-8, the only one of JSON (RFC 8259, section 8.1)."""
    charset = _CHARSET.search(headers.get("content-type", ""))
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMedia(f"The charset {charset[1][:40]} is not supported: send UTF-8.")


async def _received(request: Request, headers: Headers, most: int) -> bytes:
    if int(headers.get("content-length") or 0) > most:
        raise TooLarge(f"The body is larger than {most} bytes: send less at once.")
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise TooLarge(f"The body is larger than {most} bytes: send less at once.")
    except ClientDisconnect as error:
        raise Malformed("The connection ended before the body did: send it again.") from error
    return bytes(body)


async def parsed(body: bytes, parse: Callable[[bytes], Value]) -> Value:
    """Parse a body; a large one in a thread, so that it does not block other requests."""
    if len(body) <= _LARGE:
        return parse(body)
    return await asyncio.get_running_loop().run_in_executor(_PARSING, parse, body)


def listed(rows: Sequence[Row], limit: int, shown: Callable[[Row], object], upwards: bool = False) -> Response:
    """Answer with {data, hasMore}: up to `limit` rows, in the order of reading or reversed, and at most 4 MiB.

    A hundred events can have 25 MB, which stay in memory while a slow client reads them.
    """
    parts: list[bytes] = []
    size = 0
    for row in rows[:limit]:
        text = _json(shown(row))
        size += len(text)
        if parts and size > MAX_PAGE_BYTES:
            break
        parts.append(text)
    has_more = b"true" if len(rows) > len(parts) else b"false"
    content = b'{"data":[%b],"hasMore":%b}' % (b",".join(parts[::-1] if upwards else parts), has_more)
    return Response(content, media_type="application/json")


def answer(value: object, status: int = 200, headers: Headers | None = None) -> Response:
    """Answer with a value as JSON; a model with the API's field names."""
    return Response(_json(value), status, headers, "application/json")


def _json(value: object) -> bytes:
    return value.model_dump_json(by_alias=True).encode() if isinstance(value, BaseModel) else orjson.dumps(value)
