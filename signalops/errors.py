"""Every refusal: a Problem with its own type and one HTTP status."""

from http import HTTPStatus
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from signalops.types import JsonObject
from signalops.validation import UNKNOWN, faults_of


class Problem(Exception):
    """A refusal that names its remedy, in the members of RFC 9457.

    `status` and `kind` are the class's own; `detail` is one sentence for the caller; `members` are further members of the
    problem document, and `headers` go with the answer.
    """

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    kind = "internal"
    title = "Something went wrong on our side"

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}
        self.members = members

    def document(self) -> JsonObject:
        """Return the problem document (RFC 9457): type, title, status, detail and further members."""
        return {
            "type": f"urn:signalops:problem:{self.kind}",
            "title": self.title,
            "status": int(self.status),
            "detail": self.detail,
            **self.members,
        }


class Malformed(Problem):
    status = HTTPStatus.BAD_REQUEST
    kind = "malformed"
    title = "The request can't be read"


class Unauthenticated(Problem):
    status = HTTPStatus.UNAUTHORIZED
    kind = "unauthenticated"
    title = "No valid credentials"


class Forbidden(Problem):
    status = HTTPStatus.FORBIDDEN
    kind = "forbidden"
    title = "Not allowed"


class NotFound(Problem):
    status = HTTPStatus.NOT_FOUND
    kind = "not-found"
    title = "Not found"


class Gone(Problem):
    status = HTTPStatus.GONE
    kind = "gone"
    title = "No longer stored"


class MethodNotAllowed(Problem):
    status = HTTPStatus.METHOD_NOT_ALLOWED
    kind = "method-not-allowed"
    title = "Method not allowed"


class Conflict(Problem):
    status = HTTPStatus.CONFLICT
    kind = "conflict"
    title = "It conflicts with what there is"


class PreconditionFailed(Problem):
    status = HTTPStatus.PRECONDITION_FAILED
    kind = "precondition-failed"
    title = "It was changed by another request"


class TooLarge(Problem):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    kind = "too-large"
    title = "The request is too large"


class TooSlow(Problem):
    status = HTTPStatus.REQUEST_TIMEOUT
    kind = "too-slow"
    title = "The request did not come in time"


class UrlTooLong(Problem):
    status = HTTPStatus.REQUEST_URI_TOO_LONG
    kind = "url-too-long"
    title = "The address is too long"


class HeadTooLarge(Problem):
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    kind = "head-too-large"
    title = "The headers are too large"


class UnsupportedMedia(Problem):
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    kind = "unsupported-media-type"
    title = "Unsupported media type"


class Invalid(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    kind = "invalid"
    title = "The request is not valid"

    @classmethod
    def of(cls, error: ValidationError, value: object = UNKNOWN, model: type[BaseModel] | None = None) -> Self:
        """Translate pydantic's errors: `errors` has a path and a message for each, `detail` the first of them."""
        faults = faults_of(error, value, model)
        more = f" And {len(faults) - 1} more: see errors." if len(faults) > 1 else ""
        detail = f"{faults[0].path or 'body'}: {faults[0].message}.{more}"
        return cls(detail, errors=[fault._asdict() for fault in faults])

    @classmethod
    def at(cls, path: str, message: str) -> Self:
        """Return the problem of one fault at a path, in the same form."""
        return cls(f"{path}: {message}.", errors=[{"path": path, "message": message}])


class IdempotencyConflict(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    kind = "idempotency-conflict"
    title = "The idempotency key was used for another body"


class NothingStored(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    kind = "nothing-stored"
    title = "No event of the batch is stored"


class SchemaViolation(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    kind = "schema-violation"
    title = "The payload breaks the schema of its event type"


class QuotaExceeded(Problem):
    status = HTTPStatus.TOO_MANY_REQUESTS
    kind = "quota-exceeded"
    title = "The hard limit of the month is reached"


class RateLimited(Problem):
    status = HTTPStatus.TOO_MANY_REQUESTS
    kind = "rate-limited"
    title = "Too many at once"


class TooManyFailures(Problem):
    status = HTTPStatus.TOO_MANY_REQUESTS
    kind = "too-many-failures"
    title = "Too many failed attempts"


class Misdirected(Problem):
    status = HTTPStatus.MISDIRECTED_REQUEST
    kind = "misdirected"
    title = "Meant for another host"


class Overloaded(Problem):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    kind = "overloaded"
    title = "Overloaded; try again"


class Unavailable(Problem):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    kind = "unavailable"
    title = "The database can't be reached; try again"


class Unusable(Exception):
    """The installation can't run with its present configuration; the message names the reason and the remedy."""
