"""Usage: what was counted, and corrected."""

from signalops import errors
from signalops.usage.adjustments import http as adjustments_http
from signalops.usage.adjustments.model import AdjustmentIn, AdjustmentList, AdjustmentShown, AdjustmentsPage
from signalops.usage.audit.http import LinesHttp
from signalops.usage.audit.model import TracedEvents, TraceQuery
from signalops.usage.http import UsageHttp
from signalops.usage.limits.http import LimitsHttp
from signalops.usage.limits.model import LimitList
from signalops.usage.meters import http as meters_http
from signalops.usage.meters.model import MeterIn, MeterList, MeterShown
from signalops.usage.model import Usage, UsageQuery
from signalops.web.operations.operation import ALWAYS, BODY, Operation


def meters(meters: meters_http.Meters) -> list[Operation]:
    """Return what concerns meters."""
    return [
        Operation(
            "GET",
            "/api/meters",
            "listMeters",
            "List meters by key",
            meters.list,
            "meters:*",
            {200: MeterList},
            (*ALWAYS, errors.Invalid),
            query=meters_http.MetersPage,
        ),
        Operation(
            "POST",
            "/api/meters",
            "addMeter",
            "Add a meter; the same one once more is the one there is",
            meters.create,
            "meters:*",
            {201: MeterShown, 200: MeterShown},
            (*ALWAYS, *BODY, errors.Conflict),
            bodies={"application/json": MeterIn},
        ),
        Operation(
            "GET",
            "/api/meters/{key}",
            "getMeter",
            "Show a meter",
            meters.get,
            "meters:*",
            {200: MeterShown},
            (*ALWAYS, errors.NotFound),
        ),
        Operation(
            "DELETE",
            "/api/meters/{key}",
            "endMeter",
            "Have a meter count no more",
            meters.end,
            "meters:*",
            {200: MeterShown},
            (*ALWAYS, errors.NotFound, errors.Conflict),
        ),
    ]


def usage(usage: UsageHttp) -> list[Operation]:
    """Return what concerns usage itself."""
    return [
        Operation(
            "GET",
            "/api/usage",
            "getUsage",
            "Show what a meter counted, by hour, day or month",
            usage.get,
            "usage:read",
            {200: Usage},
            (*ALWAYS, errors.Invalid, errors.NotFound),
            query=UsageQuery,
        ),
    ]


def adjustments(adjustments: adjustments_http.Adjustments) -> list[Operation]:
    """Return what concerns corrections of usage."""
    return [
        Operation(
            "POST",
            "/api/usage/adjustments",
            "adjustUsage",
            "Correct the usage of an hour",
            adjustments.add,
            "usage:adjust",
            {201: AdjustmentShown, 200: AdjustmentShown},
            (*ALWAYS, *BODY, errors.IdempotencyConflict),
            headers={"Idempotency-Key": "A second request with this key and body corrects nothing more."},
            bodies={"application/json": AdjustmentIn},
        ),
        Operation(
            "GET",
            "/api/usage/adjustments",
            "listAdjustments",
            "List corrections of usage, newest first",
            adjustments.list,
            "usage:read",
            {200: AdjustmentList},
            (*ALWAYS, errors.Invalid),
            query=AdjustmentsPage,
        ),
    ]


def limits(limits: LimitsHttp) -> list[Operation]:
    """Return what concerns limits."""
    return [
        Operation(
            "GET",
            "/api/limits",
            "listLimits",
            "Show the limits that hold, and how much of them is used",
            limits.list,
            "usage:read",
            {200: LimitList},
            ALWAYS,
        ),
    ]


def lines(lines: LinesHttp) -> list[Operation]:
    """Return what concerns the lines of invoices."""
    return [
        Operation(
            "GET",
            "/api/usage/lines/{id}/events",
            "listLineEvents",
            "List the events behind a line of an invoice",
            lines.events,
            "usage:read",
            {200: TracedEvents},
            (*ALWAYS, errors.NotFound, errors.Gone, errors.Invalid),
            query=TraceQuery,
        ),
    ]
