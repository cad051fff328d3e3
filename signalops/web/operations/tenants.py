"""Operators: tenants, and what is theirs to decide about them."""

from signalops import errors
from signalops.access.deletion.http import Deletions
from signalops.access.deletion.model import Confirmation, DeletionShown
from signalops.access.http import Keys
from signalops.access.model import KeyList, KeyMade, KeyShown, NewKey, Revocation, Rotation
from signalops.access.tenants.manage import hold_open
from signalops.access.tenants.model import Because, TenantList, TenantsPage
from signalops.http import Page
from signalops.operate.http import Tenants
from signalops.operate.model import PlanWanted, TenantIn, TenantPatch, TenantShown
from signalops.usage.adjustments.http import Adjustments
from signalops.usage.adjustments.model import AdjustmentIn, AdjustmentList, AdjustmentShown, AdjustmentsPage
from signalops.usage.limits.http import LimitsHttp
from signalops.usage.limits.model import LimitList
from signalops.usage.plans.http import PlansHttp
from signalops.usage.plans.model import LimitAmounts, TenantPlan
from signalops.web.operations.operation import ALWAYS, BODY, Operation

_ONE = "/api/tenants/{tenant}"
_SHOWN = (*ALWAYS, errors.NotFound)
_CHANGED = (*ALWAYS, *BODY, errors.NotFound, errors.Conflict)


def tenants(tenants: Tenants, deletions: Deletions) -> list[Operation]:
    """Return what concerns tenants as a whole."""
    return [
        Operation(
            "GET",
            "/api/tenants",
            "listTenants",
            "List tenants, newest first",
            tenants.list,
            "tenants:read",
            {200: TenantList},
            (*ALWAYS, errors.Invalid),
            query=TenantsPage,
        ),
        Operation(
            "POST",
            "/api/tenants",
            "createTenant",
            "Make a tenant with its plan and limits",
            tenants.create,
            "tenants:*",
            {201: TenantShown},
            (*ALWAYS, *BODY, errors.Conflict),
            bodies={"application/json": TenantIn},
        ),
        Operation("GET", _ONE, "getTenant", "Show a tenant", tenants.get, "tenants:read", {200: TenantShown}, _SHOWN),
        Operation(
            "PATCH",
            _ONE,
            "changeTenant",
            "Change a tenant's name, time zone or rate limit",
            tenants.change,
            "tenants:*",
            {200: TenantShown},
            _CHANGED,
            bodies={"application/json": TenantPatch},
        ),
        *_moves(tenants),
        *_ends(deletions),
    ]


def _moves(tenants: Tenants) -> list[Operation]:
    return [
        Operation(
            "POST",
            f"{_ONE}/suspend",
            "suspendTenant",
            "Refuse a tenant's requests, and have its work wait",
            tenants.suspend,
            "tenants:*",
            {200: TenantShown},
            _CHANGED,
            bodies={"application/json": Because},
        ),
        Operation(
            "POST",
            f"{_ONE}/resume",
            "resumeTenant",
            "Let a suspended tenant in again",
            tenants.resume,
            "tenants:*",
            {200: TenantShown},
            (*ALWAYS, errors.NotFound, errors.Conflict),
        ),
        Operation(
            "POST",
            f"{_ONE}/close",
            "closeTenant",
            "Close a tenant for ever",
            tenants.close,
            "tenants:*",
            {200: TenantShown},
            _CHANGED,
            bodies={"application/json": Because},
        ),
    ]


def _ends(deletions: Deletions) -> list[Operation]:
    return [
        Operation(
            "DELETE",
            _ONE,
            "deleteTenant",
            "Delete a closed tenant with all that it has",
            deletions.begin,
            "tenants:*",
            {202: DeletionShown},
            (*_SHOWN, errors.Invalid, errors.Conflict),
            query=Confirmation,
        ),
        Operation(
            "GET",
            f"{_ONE}/deletion",
            "getTenantDeletion",
            "Show how far a deletion is, or its proof",
            deletions.show,
            "tenants:read",
            {200: DeletionShown},
            _SHOWN,
        ),
    ]


def keys(tenants: Tenants, keys: Keys) -> list[Operation]:
    """Return what concerns the keys of a tenant, the first of which an operator makes."""
    return [
        Operation(
            "GET",
            f"{_ONE}/keys",
            "listTenantKeys",
            "List a tenant's keys, newest first",
            tenants.lend(keys.list),
            "tenants:read",
            {200: KeyList},
            (*_SHOWN, errors.Invalid),
            query=Page,
        ),
        Operation(
            "POST",
            f"{_ONE}/keys",
            "createTenantKey",
            "Make a key of a tenant, which is shown this once",
            tenants.lend(keys.create, hold_open),
            "tenants:*",
            {201: KeyMade},
            _CHANGED,
            bodies={"application/json": NewKey},
        ),
        Operation(
            "DELETE",
            f"{_ONE}/keys/{{id}}",
            "revokeTenantKey",
            "Refuse a tenant's key from now on",
            tenants.lend(keys.revoke),
            "tenants:*",
            {200: KeyShown},
            _SHOWN,
            query=Revocation,
        ),
        Operation(
            "POST",
            f"{_ONE}/keys/{{id}}/rotate",
            "rotateTenantKey",
            "Replace a tenant's key by a new one; both are accepted for a while",
            tenants.lend(keys.rotate, hold_open),
            "tenants:*",
            {201: KeyMade},
            _CHANGED,
            bodies={"application/json": Rotation},
        ),
    ]


def limits(tenants: Tenants, limits: LimitsHttp) -> list[Operation]:
    """Return what concerns the limits of a tenant."""
    return [
        Operation(
            "GET",
            f"{_ONE}/limits",
            "listTenantLimits",
            "Show a tenant's limits, and how much of them is used",
            tenants.lend(limits.list),
            "tenants:read",
            {200: LimitList},
            _SHOWN,
        ),
        Operation(
            "PUT",
            f"{_ONE}/limits/{{meter}}",
            "setTenantLimit",
            "Set a limit of the tenant's own; it holds at once",
            tenants.set_limit,
            "tenants:*",
            {200: LimitList},
            _CHANGED,
            bodies={"application/json": LimitAmounts},
        ),
        Operation(
            "DELETE",
            f"{_ONE}/limits/{{meter}}",
            "removeTenantLimit",
            "Take a limit of the tenant's own away",
            tenants.remove_limit,
            "tenants:*",
            {200: LimitList},
            (*_SHOWN, errors.Conflict),
        ),
    ]


def adjustments(tenants: Tenants, adjustments: Adjustments) -> list[Operation]:
    """Return what concerns corrections of a tenant's usage."""
    return [
        Operation(
            "POST",
            f"{_ONE}/adjustments",
            "adjustTenantUsage",
            "Correct the usage of an hour, also downwards",
            tenants.lend(adjustments.add, hold_open),
            "tenants:*",
            {201: AdjustmentShown, 200: AdjustmentShown},
            (*_CHANGED, errors.IdempotencyConflict),
            headers={"Idempotency-Key": "A second request with this key and body corrects nothing more."},
            bodies={"application/json": AdjustmentIn},
        ),
        Operation(
            "GET",
            f"{_ONE}/adjustments",
            "listTenantAdjustments",
            "List corrections of a tenant's usage, newest first",
            tenants.lend(adjustments.list),
            "tenants:read",
            {200: AdjustmentList},
            (*_SHOWN, errors.Invalid),
            query=AdjustmentsPage,
        ),
    ]


def plan(tenants: Tenants, plans: PlansHttp) -> list[Operation]:
    """Return what concerns the plan of a tenant."""
    return [
        Operation(
            "GET",
            f"{_ONE}/plan",
            "getTenantPlan",
            "Show a tenant's plan, the next one and the days of the period",
            tenants.lend(plans.get),
            "tenants:read",
            {200: TenantPlan},
            _SHOWN,
        ),
        Operation(
            "POST",
            f"{_ONE}/plan",
            "setTenantPlan",
            "Give a tenant a plan",
            tenants.subscribe,
            "tenants:*",
            {200: TenantPlan},
            _CHANGED,
            bodies={"application/json": PlanWanted},
        ),
    ]
