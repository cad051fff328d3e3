"""Grants, burns down and lists credit, in a transaction of the tenant."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from signalops import db
from signalops.errors import IdempotencyConflict
from signalops.http import body_hash
from signalops.types import TenantId
from signalops.usage.credits.credit_models import CreditIn

SQL = db.queries("usage/credits")


async def grant_credit(connection: db.Connection, tenant: TenantId, **fields: Any) -> UUID:
    """Grant credit: amount, currency, priority, expires_at, reason, author, idempotency_key and body_hash; return the grant."""
    return UUID(str(await db.value(connection, SQL["grant-credit"], {"tenant": tenant, **fields})))


async def find_grant(connection: db.Connection, tenant: TenantId, key: str) -> tuple[UUID, bytes] | None:
    """Return the grant of an idempotency key, and the hash of its body."""
    found = await db.tuples(connection, SQL["find-grant"], {"tenant": tenant, "key": key})
    return found[0] if found else None


async def read_grant(connection: db.Connection, tenant: TenantId, grant: UUID) -> db.Row:
    """Return a grant with the fields of CreditShown."""
    return await db.the_row(connection, SQL["read-grant"], {"tenant": tenant, "id": grant})


async def list_credits(connection: db.Connection, tenant: TenantId) -> list[db.Row]:
    """Return the grants that can be used, by currency, in the order in which they are burned."""
    return await db.rows(connection, SQL["list-credits"], {"tenant": tenant})


async def list_credit_entries(connection: db.Connection, tenant: TenantId, **window: Any) -> list[db.Row]:
    """Return the movements between two ids: lower, upper, upwards and limit."""
    return await db.rows(connection, SQL["list-credit-entries"], {"tenant": tenant, **window})


async def burn_credits(connection: db.Connection, tenant: TenantId, **parameters: Any) -> Decimal:
    """Have an invoice use credit: invoice, currency and at_most; return how much it was."""
    return Decimal(await db.value(connection, SQL["burn-credits"], {"tenant": tenant, **parameters}))


async def expire_credits(connection: db.Connection, at_most: int) -> int:
    """Write off what is left of expired grants of all tenants; return of how many."""
    return int(await db.value(connection, SQL["expire-credits"], {"at_most": at_most}) or 0)


async def grant(connection: db.Connection, tenant: TenantId, request: CreditIn, key: str | None = None) -> tuple[UUID, bool]:
    """Grant credit; return the grant, and whether it is new.

    IdempotencyConflict when the key was used with another body. With a key the tenant is locked, so that of two concurrent
    requests the second finds the grant of the first.
    """
    hashed = key and body_hash(request)
    if key and (before := await find_grant(connection, tenant, key)):
        found, stored = before
        if stored != hashed:
            raise IdempotencyConflict("The idempotency key came with another grant before: choose another key.")
        return found, False
    fields = request.model_dump(by_alias=False)
    made = await grant_credit(connection, tenant, **fields, idempotency_key=key, body_hash=hashed)
    return made, True
