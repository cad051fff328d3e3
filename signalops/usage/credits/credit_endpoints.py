"""The endpoints of credits: tenants list them, operators grant them."""

from signalops import db
from signalops.endpoint import endpoint, for_operators
from signalops.http import Page, Response, answer, validated
from signalops.types import Caller, FoundTenant, Operator
from signalops.usage.credits import credit_grants
from signalops.usage.credits.credit_grants import grant
from signalops.usage.credits.credit_models import CreditEntry, CreditHistory, CreditIn, Credits, CreditShown, CreditTerms

_TENANTS = "/api/tenants/{tenant}/credits"


@for_operators(_TENANTS, "getTenantCredits", "Show the credit that a tenant has left")
@endpoint("GET /api/credits", "getCredits", "Show the credit that is left", "usage:read")
async def get_credits(connection: db.Connection, caller: Caller) -> Credits:
    """Show the credit that can be used now: the balance by currency, and the grants in the order of burning."""
    rows = await credit_grants.list_credits(connection, caller.tenant)
    return Credits.of(CreditShown.model_validate(row) for row in rows)


@for_operators(f"{_TENANTS}/history", "listTenantCreditEntries", "List the movements of a tenant's credit, newest first")
@endpoint(
    "GET /api/credits/history",
    "listCreditEntries",
    "List the movements of credit, newest first",
    "usage:read",
    answers={200: CreditHistory},
)
async def list_entries(connection: db.Connection, caller: Caller, query: Page) -> Response:
    """List what was granted, burned, returned and expired, newest first."""
    window = query.window(await db.settled(connection))
    rows = await credit_grants.list_credit_entries(connection, caller.tenant, upwards=query.upwards, **window)
    return query.listed(rows, CreditEntry.model_validate)


@endpoint(
    f"POST {_TENANTS}",
    "grantCredit",
    "Grant a tenant credit",
    "tenants:*",
    answers={201: CreditShown, 200: CreditShown},
    headers={"Idempotency-Key": "A second request with this key and body grants nothing more."},
    lock="open tenant",
)
async def grant_credit(
    connection: db.Connection, operator: Operator, tenant: FoundTenant, body: CreditTerms, idempotency_key: str | None
) -> Response:
    """Grant a tenant credit, which its next invoices in that currency use up."""
    request = validated(CreditIn, body.model_dump() | {"author": operator.author})
    granted, is_new = await grant(connection, tenant.id, request, idempotency_key)
    shown = CreditShown.model_validate(await credit_grants.read_grant(connection, tenant.id, granted))
    return answer(shown, 201 if is_new else 200)
