"""The endpoints that delete tenants."""

from signalops import db, errors
from signalops.access.deletion import deletion_service as deletion
from signalops.access.deletion.deletion_models import Confirmation, DeletionShown
from signalops.endpoint import endpoint
from signalops.http import Response, answer
from signalops.types import Operator


@endpoint(
    "DELETE /api/tenants/{tenant}",
    "deleteTenant",
    "Delete a closed tenant with all that it has",
    "tenants:*",
    answers={202: DeletionShown},
    problems=(errors.Conflict,),
)
async def delete_tenant(connection: db.Connection, operator: Operator, tenant: str, query: Confirmation) -> Response:
    """Begin to delete a closed tenant; the response links to its progress."""
    begun = await deletion.begin(connection, tenant, query.confirm)
    return answer(begun, 202, {"Location": f"/api/tenants/{begun.tenant}/deletion"})


@endpoint("GET /api/tenants/{tenant}/deletion", "getTenantDeletion", "Show how far a deletion is, or its proof", "tenants:read")
async def get_deletion(connection: db.Connection, operator: Operator, tenant: str) -> DeletionShown:
    """Show how far a deletion is, or its proof; also when the tenant is long gone."""
    return await deletion.show(connection, tenant)
