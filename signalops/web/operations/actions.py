"""The audit log: what was done, and by whom."""

from signalops import errors
from signalops.operate.http import Tenants
from signalops.watch.actions.http import Actions
from signalops.watch.actions.model import ActionList, ActionShown, ActionsPage, PlatformActionList
from signalops.web.operations.operation import ALWAYS, Operation


def actions(actions: Actions) -> list[Operation]:
    """Return what concerns a tenant's audit log."""
    return [
        Operation(
            "GET",
            "/api/audit-log",
            "listActions",
            "List what was done to what is managed, newest first",
            actions.list,
            "audit:read",
            {200: ActionList},
            (*ALWAYS, errors.Invalid),
            query=ActionsPage,
        ),
        Operation(
            "GET",
            "/api/audit-log/{id}",
            "getAction",
            "Show what was done, and what it changed",
            actions.get,
            "audit:read",
            {200: ActionShown},
            (*ALWAYS, errors.NotFound),
        ),
    ]


def operator_actions(tenants: Tenants, actions: Actions) -> list[Operation]:
    """Return what concerns the audit log for operators."""
    return [
        Operation(
            "GET",
            "/api/platform/audit-log",
            "listAllActions",
            "List what was done in the whole installation, newest first",
            actions.all,
            "tenants:read",
            {200: PlatformActionList},
            (*ALWAYS, errors.Invalid),
            query=ActionsPage,
        ),
        Operation(
            "GET",
            "/api/tenants/{tenant}/audit-log",
            "listTenantActions",
            "List what was done to what a tenant manages, newest first",
            tenants.lend(actions.list),
            "tenants:read",
            {200: ActionList},
            (*ALWAYS, errors.Invalid, errors.NotFound),
            query=ActionsPage,
        ),
    ]
