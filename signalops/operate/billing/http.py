"""The requests of operators for plans, credit and invoices."""

from uuid import UUID

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.access.tenants import manage
from signalops.http import Query, answer, idempotency_key, read_model, validated
from signalops.operate.desk import Desk, author
from signalops.terms import Operator, TenantId
from signalops.usage.credits import store as credits
from signalops.usage.credits.manage import grant
from signalops.usage.credits.model import CreditIn, CreditShown, CreditTerms
from signalops.usage.invoices import correct
from signalops.usage.invoices.correct import Credited, CreditNoteIn, Said, Why
from signalops.usage.invoices.show import find, read
from signalops.usage.plans import store as plans
from signalops.usage.plans.manage import define, document_of
from signalops.usage.plans.model import PlanDocument, PlanList, PlanSummary, PlanVersion


class VersionQuery(Query):
    """Which version of a plan is shown."""

    version: int | None = Field(None, ge=1, le=2**31 - 1, description="Default: the newest.")


class Billing:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool) -> None:
        self._desk = Desk(connections)

    async def list_plans(self, _: Request, __: Operator) -> Response:
        """List the plans, each in its newest version."""
        async with self._desk.all() as connection:
            rows = await plans.list_plans(connection)
        shown = [PlanSummary(**row, baseFee=row["base_fee"], createdAt=row["created_at"]) for row in rows]
        return answer(PlanList(data=shown))

    async def get_plan(self, request: Request, _: Operator) -> Response:
        """Show a version of a plan."""
        plan, wanted = request.path_params["plan"], VersionQuery.of(request)
        async with self._desk.all() as connection:
            version, terms = await document_of(connection, plan, wanted.version)
        return answer(PlanVersion(plan=plan, version=version, terms=terms))

    async def add_plan(self, request: Request, _: Operator) -> Response:
        """Make a plan, or a new version of it, unless its newest says the same; tenants keep theirs until they get it."""
        plan, terms = request.path_params["plan"], await read_model(request, PlanDocument)
        async with self._desk.all() as connection:
            version, is_new = await define(connection, plan, terms)
        return answer(PlanVersion(plan=plan, version=version, terms=terms), 201 if is_new else 200)

    async def grant(self, request: Request, operator: Operator) -> Response:
        """Grant a tenant credit, which its next invoices in that currency use up."""
        terms, key = await read_model(request, CreditTerms), idempotency_key(request)
        asked = validated(CreditIn, terms.model_dump() | {"author": author(operator)})
        async with self._desk.at(request, manage.hold_open) as (connection, held):
            granted, is_new = await grant(connection, held.id, asked, key)
            shown = CreditShown.model_validate(await credits.read_grant(connection, held.id, granted))
        return answer(shown, 201 if is_new else 200)

    async def void(self, request: Request, operator: Operator) -> Response:
        """Void an invoice, or a credit note by its id; the credit that it used comes back."""
        why = await read_model(request, Why)
        async with self._desk.at(request, manage.hold) as (connection, held):
            invoice = await _named(connection, held.id, request)
            await correct.void(connection, held.id, invoice, _said(why, operator))
            return answer(await read(connection, held.id, invoice))

    async def reissue(self, request: Request, operator: Operator) -> Response:
        """Issue a voided invoice anew, with the same figures and a number of its own."""
        why = await read_model(request, Why)
        async with self._desk.at(request, manage.hold) as (connection, held):
            invoice = await _named(connection, held.id, request)
            issued = await correct.reissue(connection, held.id, invoice, _said(why, operator))
            return answer(await read(connection, held.id, issued.id), 201)

    async def credit(self, request: Request, operator: Operator) -> Response:
        """Issue a credit note, which takes an amount off an invoice."""
        note, key = await read_model(request, CreditNoteIn), idempotency_key(request)
        said = Credited(**note.model_dump(), author=author(operator))
        async with self._desk.at(request, manage.hold) as (connection, held):
            invoice = await _named(connection, held.id, request)
            issued, is_new = await correct.credit_once(connection, held.id, invoice, said, key)
            return answer(await read(connection, held.id, issued), 201 if is_new else 200)


async def _named(connection: db.Connection, tenant: TenantId, request: Request) -> UUID:
    return await find(connection, tenant, request.path_params["invoice"])


def _said(why: Why, operator: Operator) -> Said:
    return Said(reason=why.reason, author=author(operator))
