"""Billing: what a tenant pays, and with what."""

from signalops import errors
from signalops.http import Page
from signalops.usage.credits.http import CreditsHttp
from signalops.usage.credits.model import CreditHistory, Credits
from signalops.usage.invoices import http as invoices_http
from signalops.usage.invoices.model import InvoiceList, InvoiceShown, Preview
from signalops.usage.plans.http import PlansHttp
from signalops.usage.plans.model import TenantPlan
from signalops.web.operations.operation import ALWAYS, Operation


def credits(credits: CreditsHttp) -> list[Operation]:
    """Return what concerns credits."""
    return [
        Operation(
            "GET",
            "/api/credits",
            "getCredits",
            "Show the credit that is left",
            credits.get,
            "usage:read",
            {200: Credits},
            ALWAYS,
        ),
        Operation(
            "GET",
            "/api/credits/history",
            "listCreditEntries",
            "List the movements of credit, newest first",
            credits.history,
            "usage:read",
            {200: CreditHistory},
            (*ALWAYS, errors.Invalid),
            query=Page,
        ),
    ]


def plan(plans: PlansHttp) -> list[Operation]:
    """Return what concerns the tenant's plan."""
    return [
        Operation(
            "GET",
            "/api/plan",
            "getPlan",
            "Show the plan, the next one and the days of the period",
            plans.get,
            "usage:read",
            {200: TenantPlan},
            ALWAYS,
        ),
    ]


def invoices(invoices: invoices_http.Invoices) -> list[Operation]:
    """Return what concerns invoices."""
    return [
        Operation(
            "GET",
            "/api/invoices",
            "listInvoices",
            "List invoices and credit notes",
            invoices.list,
            "usage:read",
            {200: InvoiceList},
            (*ALWAYS, errors.Invalid),
            query=Page,
        ),
        Operation(
            "GET",
            "/api/invoices/preview",
            "previewInvoice",
            "Show what the open period would be invoiced with",
            invoices.preview,
            "usage:read",
            {200: Preview},
            (*ALWAYS, errors.Invalid, errors.NotFound),
            query=invoices_http.PreviewQuery,
        ),
        Operation(
            "GET",
            "/api/invoices/{id}",
            "getInvoice",
            "Show an invoice, for programs or for people",
            invoices.get,
            "usage:read",
            {200: InvoiceShown},
            (*ALWAYS, errors.Invalid, errors.NotFound),
            query=invoices_http.InvoiceQuery,
            texts=(invoices_http.CSV, invoices_http.HTML),
        ),
    ]
