"""What the handlers of every station share: requests read strictly, pages of lists, and answers as JSON."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from signalops import strict_json
from signalops.errors import Invalid, Malformed, NotFound, TooLarge, UnsupportedMedia

Headers = Mapping[str, str]
Model = TypeVar("Model", bound=BaseModel)
Row = TypeVar("Row")

MOST_BYTES = 256 * 1024
"""The largest body of a request that manages something."""
MOST_KEY = 255
"""The longest idempotency key of a request that manages something."""
_LAST_ID = UUID(int=2**128 - 1)


class Query(BaseModel):
    """Parameters of a query; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def of(cls, request: Request) -> Self:
        """Read the query of a request; Invalid by name, also for U+0000, which PostgreSQL takes in no text."""
        asked = dict(request.query_params)
        for name, value in asked.items():
            if "\0" in value:
                raise Invalid.at(name, "must hold no U+0000")
        return validated(cls, asked)


class Page(Query):
    """Query of a list, newest first: the cursors are ids (UUIDv7)."""

    limit: int = Field(20, ge=1, le=100, description="Most items of a page.")
    starting_after: UUID | None = Field(None, description="The last id of the page before: the next older ones.")
    ending_before: UUID | None = Field(None, description="The first id of a page: the next newer ones.")

    @property
    def upwards(self) -> bool:
        """Whether the page is read from its older end."""
        return self.ending_before is not None

    def window(self, lower: Sequence[UUID] = (), upper: Sequence[UUID] = ()) -> dict[str, Any]:
        """Return the ids between which the page lies, within other bounds; and a limit that tells whether there are more."""
        return {
            "lower": max([*lower, self.ending_before or UUID(int=0)]),
            "upper": min([*upper, self.starting_after or _LAST_ID]),
            "limit": self.limit + 1,
        }

    def cut(self, rows: Sequence[Row]) -> tuple[list[Row], bool]:
        """Return the page's rows, newest first, and whether there are more."""
        page = list(rows[: self.limit])
        return page[::-1] if self.upwards else page, len(rows) > self.limit


def validated(model: type[Model], value: object) -> Model:
    """Validate a value; Invalid names each fault by its path."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Invalid.of(error) from error


async def read_model(request: Request, model: type[Model], most: int = MOST_BYTES) -> Model:
    """Read a JSON body of at most so many bytes, strictly; Malformed, TooLarge, UnsupportedMedia, or Invalid by path."""
    headers = headers_of(request)
    if media_type(headers) != "application/json":
        given = media_type(headers)[:100] or "nothing"
        raise UnsupportedMedia(
            f"The body must be JSON: send Content-Type: application/json, not {given}.",
            headers={"Accept": "application/json"},
        )
    return validated(model, strict_json.parse(await read_body(request, headers, most)))


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
    if not 1 <= len(key) <= MOST_KEY:
        raise Invalid.at("Idempotency-Key", f"must be 1 to {MOST_KEY} characters; shorten it")
    return key


def body_hash(said: BaseModel) -> bytes:
    """Return the SHA-256 of what a request said, for which its idempotency key stands."""
    return hashlib.sha256(orjson.dumps(said.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).digest()


def media_type(headers: Headers) -> str:
    """Return a request's media type, in lower case and without parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, headers: Headers, most: int) -> bytes:
    """Read a request's body; raise TooLarge as soon as it is larger than allowed, and Malformed when it breaks off."""
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


def answer(value: object, status: int = 200, headers: Headers | None = None) -> Response:
    """Answer with a value as JSON, a model in the words of the API."""
    content = value.model_dump_json(by_alias=True).encode() if isinstance(value, BaseModel) else orjson.dumps(value)
    return Response(content, status, headers, "application/json")
