"""An endpoint is declared in one place, and served and described from there."""

from uuid import UUID

import pytest
from pydantic import BaseModel

from signalops import errors
from signalops.endpoint import Endpoint, endpoint, endpoints_of, for_operators
from signalops.http import Query
from signalops.types import Caller
from signalops.web import openapi


class ExampleQuery(Query):
    """How it is asked."""

    loud: bool = False


class Greeting(BaseModel):
    """A text."""

    text: str


class Greetings:
    """An endpoint as a feature adds it: all of it is here."""

    @for_operators("/api/tenants/{tenant}/greetings/{id}", "greetTenant", "Greet for a tenant", "open tenant")
    @endpoint("PUT /api/greetings/{id}", "greet", "Greet somebody", "events:read")
    async def greet(
        self, caller: Caller, greeting: UUID, query: ExampleQuery, body: Greeting, if_match: frozenset[str] | None
    ) -> Greeting:
        """Greet somebody."""
        return Greeting(text=f"{body.text} {greeting}")


def declared() -> list[Endpoint]:
    return endpoints_of(Greetings())


def test_one_declaration_is_both_the_tenants_and_the_operators() -> None:
    own, lent = declared()
    assert (own.method, own.path, own.scope, own.is_lent) == ("PUT", "/api/greetings/{id}", "events:read", False)
    assert (lent.method, lent.path, lent.scope, lent.is_lent) == (
        "PUT",
        "/api/tenants/{tenant}/greetings/{id}",
        "tenants:*",
        True,
    )


def test_problems_follow_from_what_an_endpoint_takes() -> None:
    own, lent = declared()
    taken = {errors.NotFound, errors.Malformed, errors.Invalid, errors.TooLarge, errors.UnsupportedMedia}
    assert taken | {errors.PreconditionFailed, errors.Unauthenticated} <= set(own.refusals)
    assert set(lent.refusals) - set(own.refusals) == {errors.Conflict}


def test_the_document_describes_what_the_handler_takes() -> None:
    described = openapi.document(declared())
    operation = described["paths"]["/api/greetings/{id}"]["put"]
    assert {(one["name"], one["in"]) for one in operation["parameters"]} == {("id", "path"), ("loud", "query")}
    reference = {"$ref": "#/components/schemas/Greeting"}
    assert operation["requestBody"]["content"]["application/json"]["schema"] == reference
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == reference
    assert operation["description"].endswith("Needs the scope `events:read`.")


def test_two_models_of_one_name_are_refused() -> None:
    other = type("Greeting", (BaseModel,), {"__annotations__": {"volume": int}, "__doc__": "Another one."})

    class Others:
        """A feature that takes the name of another one's model."""

        @endpoint("GET /api/volume", "getVolume", "Show the volume", "events:read", answers={200: other})
        async def get_volume(self, caller: Caller) -> BaseModel:
            """Show the volume."""
            return Greeting(text="loud")

    with pytest.raises(ValueError, match="Two models are called Greeting"):
        openapi.document([*declared(), *endpoints_of(Others())])
