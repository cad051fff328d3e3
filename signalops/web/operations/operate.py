"""Operators: plans, and the credit and invoices of tenants."""

from signalops import errors
from signalops.http import Page
from signalops.operate.billing.http import Billing, VersionQuery
from signalops.operate.http import Tenants
from signalops.usage.credits.http import CreditsHttp
from signalops.usage.credits.model import CreditHistory, Credits, CreditShown, CreditTerms
from signalops.usage.invoices import http as invoices_http
from signalops.usage.invoices.correct import CreditNoteIn, Why
from signalops.usage.invoices.model import InvoiceList, InvoiceShown
from signalops.usage.plans.model import PlanDocument, PlanList, PlanVersion
from signalops.web.operations.operation import ALWAYS, BODY, Operation

_OF = "/api/tenants/{tenant}"
_SHOWN = (*ALWAYS, errors.NotFound)
_CHANGED = (*ALWAYS, *BODY, errors.NotFound, errors.Conflict)


def plans(billing: Billing) -> list[Operation]:
    """Return what concerns plans."""
    return [
        Operation(
            "GET", "/api/plans", "listPlans", "List plans", billing.list_plans, "tenants:read", {200: PlanList}, ALWAYS
        ),
        Operation(
            "GET",
            "/api/plans/{plan}",
            "getPlanVersion",
            "Show a version of a plan",
            billing.get_plan,
            "tenants:read",
            {200: PlanVersion},
            (*_SHOWN, errors.Invalid),
            query=VersionQuery,
        ),
        Operation(
            "POST",
            "/api/plans/{plan}",
            "addPlanVersion",
            "Make a plan, or a new version; the same once more is the one there is",
            billing.add_plan,
            "tenants:*",
            {201: PlanVersion, 200: PlanVersion},
            (*ALWAYS, *BODY, errors.Conflict),
            bodies={"application/json": PlanDocument},
        ),
    ]


def credit(tenants: Tenants, credits: CreditsHttp, billing: Billing) -> list[Operation]:
    """Return what concerns the credit of a tenant."""
    return [
        Operation(
            "GET",
            f"{_OF}/credits",
            "getTenantCredits",
            "Show the credit that a tenant has left",
            tenants.lend(credits.get),
            "tenants:read",
            {200: Credits},
            _SHOWN,
        ),
        Operation(
            "GET",
            f"{_OF}/credits/history",
            "listTenantCreditEntries",
            "List the movements of a tenant's credit, newest first",
            tenants.lend(credits.history),
            "tenants:read",
            {200: CreditHistory},
            (*_SHOWN, errors.Invalid),
            query=Page,
        ),
        Operation(
            "POST",
            f"{_OF}/credits",
            "grantCredit",
            "Grant a tenant credit",
            billing.grant,
            "tenants:*",
            {201: CreditShown, 200: CreditShown},
            (*_CHANGED, errors.IdempotencyConflict),
            headers={"Idempotency-Key": "A second request with this key and body grants nothing more."},
            bodies={"application/json": CreditTerms},
        ),
    ]


def invoices(tenants: Tenants, invoices: invoices_http.Invoices, billing: Billing) -> list[Operation]:
    """Return what concerns the invoices of a tenant."""
    return [
        Operation(
            "GET",
            f"{_OF}/invoices",
            "listTenantInvoices",
            "List a tenant's invoices and credit notes",
            tenants.lend(invoices.list),
            "tenants:read",
            {200: InvoiceList},
            (*_SHOWN, errors.Invalid),
            query=Page,
        ),
        Operation(
            "GET",
            f"{_OF}/invoices/{{id}}",
            "getTenantInvoice",
            "Show an invoice of a tenant, for programs or for people",
            tenants.lend(invoices.get),
            "tenants:read",
            {200: InvoiceShown},
            (*_SHOWN, errors.Invalid),
            query=invoices_http.InvoiceQuery,
            texts=(invoices_http.CSV, invoices_http.HTML),
        ),
        *_corrections(billing),
    ]


def _corrections(billing: Billing) -> list[Operation]:
    one = f"{_OF}/invoices/{{invoice}}"
    return [
        Operation(
            "POST",
            f"{one}/void",
            "voidInvoice",
            "Void an invoice by its number or id, or a credit note by its id",
            billing.void,
            "tenants:*",
            {200: InvoiceShown},
            _CHANGED,
            bodies={"application/json": Why},
        ),
        Operation(
            "POST",
            f"{one}/reissue",
            "reissueInvoice",
            "Issue a voided invoice anew, with the same figures",
            billing.reissue,
            "tenants:*",
            {201: InvoiceShown},
            _CHANGED,
            bodies={"application/json": Why},
        ),
        Operation(
            "POST",
            f"{one}/credit-notes",
            "creditInvoice",
            "Take an amount off an invoice",
            billing.credit,
            "tenants:*",
            {201: InvoiceShown, 200: InvoiceShown},
            (*_CHANGED, errors.IdempotencyConflict),
            headers={"Idempotency-Key": "A second request with this key and body credits nothing more."},
            bodies={"application/json": CreditNoteIn},
        ),
    ]
