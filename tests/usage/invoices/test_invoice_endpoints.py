"""Invoices over HTTP: lists, previews, and the formats, with text that means harm."""

import csv
import re
from base64 import b64encode
from datetime import date, timedelta
from hashlib import sha256
from io import StringIO
from uuid import uuid4

import pytest

from signalops import clock
from tests.support.api import Client, assert_problem
from tests.support.tenants import Tenant, make_tenant
from tests.support.worlds.billing import APRIL, GRADUATED, MARCH, Billing, plan

HOSTILE = "=cmd|'/c calc'!A0 <script>alert(1)</script> \"&amp;\", \r\nEvil"


def hostile(billing: Billing) -> Tenant:
    """A tenant whose name, and whose plan's and meter's names, are code in several languages."""
    meter = {"key": "m", "name": HOSTILE, "pattern": {"type": ["a.b"]}, "unit": "</td><b>GB"}
    terms = plan({"meter": "m", "model": "per_unit", "unitAmount": "1"}, fee="5.00", meters=[meter]) | {"name": HOSTILE}
    acme = billing.tenant("one", terms)
    billing.owner.execute("update signalops.tenants set name = %s where id = %s", [HOSTILE, acme.id])
    billing.count(acme, "2025-03-05 07:00", 3, meter="m")
    return acme


async def test_invoices_are_listed_in_pages_newest_first(billing: Billing, api: Client) -> None:
    acme = billing.tenant("one", plan(fee="5.00"))
    await billing.close(date(2025, 5, 1))
    first = (await api.get("/api/invoices", acme, limit=2)).json
    assert ([i["period"] for i in first["data"]], first["hasMore"]) == (["2025-05", "2025-04"], True)
    rest = (await api.get("/api/invoices", acme, limit=2, startingAfter=first["data"][-1]["id"])).json
    assert ([i["period"] for i in rest["data"]], rest["hasMore"]) == (["2025-03"], False)


async def test_an_invoice_is_shown_with_its_lines(billing: Billing, api: Client) -> None:
    acme = billing.tenant("one", plan(GRADUATED, fee="5.00"), zone="Asia/Kolkata")
    billing.count(acme, "2025-03-05 07:00", 110)
    await billing.close(MARCH)
    (listed,) = (await api.get("/api/invoices", acme)).json["data"]
    shown = (await api.get(f"/api/invoices/{listed['id']}", acme)).json
    lines = shown.pop("lines")
    assert shown == listed
    assert (shown["timeZone"], shown["startsAt"], shown["total"]) == ("Asia/Kolkata", "2025-02-28T18:30:00Z", "15.50")
    assert [(line["position"], line["kind"], line["quantity"], line["amount"]) for line in lines] == [
        (1, "base", None, "5.00"),
        (2, "usage", "110", "10.50"),
    ]


async def test_no_tenant_sees_anothers(billing: Billing, api: Client, globex: Tenant) -> None:
    acme = billing.tenant("one", plan(fee="5.00"))
    await billing.close(MARCH)
    (invoice,) = (await api.get("/api/invoices", acme)).json["data"]
    assert_problem(await api.get(f"/api/invoices/{invoice['id']}", globex), 404, "not-found")
    assert_problem(await api.get(f"/api/invoices/{uuid4()}", acme), 404, "not-found")
    assert_problem(await api.get("/api/invoices/xyz", acme), 404, "not-found")
    assert (await api.get("/api/invoices", globex)).json == {"data": [], "hasMore": False}


async def test_a_key_needs_the_scope(api: Client, billing: Billing) -> None:
    poor = make_tenant(billing.owner, "poor", scopes=["events:read"])
    for path in ("/api/invoices", "/api/invoices/preview", f"/api/invoices/{uuid4()}"):
        assert_problem(await api.get(path, poor), 403, "forbidden")


async def test_a_preview_is_what_closing_issues(billing: Billing, api: Client) -> None:
    acme = billing.tenant("one", plan(GRADUATED, fee="5.00"), zone="America/New_York")
    billing.subscribe(acme, plan({"model": "flat", "amount": "10"}, fee="9.99"), date(2025, 4, 11), "team")
    billing.owner.execute(
        "select signalops.grant_credit(t.id, 7, 'USD', 'prepaid', 'ann') "
        "from signalops.tenants t, signalops.set_tenant(t.id) where t.id = %s",
        [acme.id],
    )
    billing.count(acme, "2025-03-31 23:00", 90)
    billing.count(acme, "2025-04-10 23:00", 7)
    billing.count(acme, "2025-03-05 07:00", 20, late=APRIL)
    for month in ("2025-03", "2025-04"):
        previewed = (await api.get("/api/invoices/preview", acme, period=month)).json
        await billing.close(date.fromisoformat(f"{month}-01"))
        (listed, *_) = (await api.get("/api/invoices", acme)).json["data"]
        issued = (await api.get(f"/api/invoices/{listed['id']}", acme)).json
        (draft,) = previewed["invoices"]
        assert [previewed[name] for name in ("startsAt", "endsAt")] == [issued[name] for name in ("startsAt", "endsAt")]
        assert [line | {"id": None} for line in issued["lines"]] == draft["lines"]
        for name in ("currency", "subtotal", "credited", "total"):
            assert draft[name] == issued[name]
    assert billing.invoice_notices(acme, "issued")[1]["period"] == "2025-04"


async def test_the_preview_is_of_the_present_month_unless_another_is_open(billing: Billing, api: Client) -> None:
    today = clock.now().date().replace(day=1)
    acme = billing.tenant("one", plan(fee="5.00"), since=today)
    shown = (await api.get("/api/invoices/preview", acme)).json
    assert (shown["period"], shown["invoices"][0]["total"]) == (f"{today:%Y-%m}", "5.00")
    future = f"{today + timedelta(days=40):%Y-%m}"
    assert_problem(await api.get("/api/invoices/preview", acme, period=future), 404, "not-found")
    assert_problem(await api.get("/api/invoices/preview", acme, period="2025-3"), 422, "invalid")
    older = billing.tenant("two", plan(fee="5.00"))
    await billing.close(MARCH)
    assert_problem(await api.get("/api/invoices/preview", older, period="2025-03"), 404, "not-found")


async def invoice_path(api: Client, tenant: Tenant) -> str:
    (invoice,) = (await api.get("/api/invoices", tenant)).json["data"]
    return f"/api/invoices/{invoice['id']}"


async def test_csv_has_no_formulas_and_reads_back(billing: Billing, api: Client) -> None:
    acme = hostile(billing)
    await billing.close(MARCH)
    answer = await api.get(await invoice_path(api, acme), acme, format="csv")
    assert answer.media_type == "text/csv"
    assert answer.headers["content-disposition"] == 'attachment; filename="invoice-1.csv"'
    text = answer.body.decode()
    assert text.endswith("\r\n")
    base, usage = csv.DictReader(StringIO(text, newline=""), strict=True)
    assert base["document.customer"] == f"'{HOSTILE}"
    assert usage["description"] == f"'{HOSTILE}"
    assert (usage["quantity"], usage["amount"], base["quantity"]) == ("3", "3.00", "")
    for row in (base, usage):
        assert not [cell for cell in row.values() if re.match(r"[=+\-@\t\r]", cell)]


async def test_amounts_below_zero_stay_numbers_in_csv(billing: Billing, api: Client) -> None:
    acme = billing.tenant("one", plan(fee="5.00"))
    billing.owner.execute(
        "select signalops.grant_credit(t.id, 2, 'USD', 'prepaid', 'ann') "
        "from signalops.tenants t, signalops.set_tenant(t.id) where t.id = %s",
        [acme.id],
    )
    await billing.close(MARCH)
    text = (await api.get(await invoice_path(api, acme), acme, format="csv")).body.decode()
    *_, credit = csv.DictReader(StringIO(text))
    assert (credit["kind"], credit["amount"]) == ("credit", "-2.00")


async def test_the_page_runs_and_loads_nothing(billing: Billing, api: Client) -> None:
    acme = hostile(billing)
    await billing.close(MARCH)
    answer = await api.get(await invoice_path(api, acme), acme, format="html")
    page = answer.body.decode()
    assert answer.media_type == "text/html"
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "</td><b>" not in page
    assert "<small> included</small>" not in page, "nothing is"
    assert not re.search(r"<[^>]*\s(src|href|style|on\w+)\s*=", page)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert answer.headers["content-security-policy"].startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert "USD 8.00" in page
    assert "Mar 1 \u2013 31, 2025 (UTC)" in page.replace("\u2009", " ")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("text/csv", "text/csv"),
        ("text/html;q=0.2, application/json;q=0.9", "application/json"),
        ("image/png", "application/json"),
        ("text/html;q=much, text/csv;q=0.1", "text/csv"),
    ],
)
async def test_the_format_is_the_one_that_is_liked_best(billing: Billing, api: Client, accept: str, media_type: str) -> None:
    acme = billing.tenant("one", plan(fee="5.00"))
    await billing.close(MARCH)
    path = await invoice_path(api, acme)
    answer = await api.request("GET", path, acme, headers={"accept": accept})
    assert (answer.status, answer.media_type) == (200, media_type)
    assert answer.headers["vary"] == "Accept"


@pytest.mark.parametrize(("currency", "shown"), [("JPY", "JPY 1,235"), ("KWD", "KWD 1,234.500"), ("EUR", "EUR 1,234.50")])
async def test_money_is_written_as_its_currency_is(billing: Billing, api: Client, currency: str, shown: str) -> None:
    acme = billing.tenant("one", plan(fee="1234.5", currency=currency))
    await billing.close(MARCH)
    page = (await api.get(await invoice_path(api, acme), acme, format="html")).body.decode()
    assert shown in page


async def test_an_unknown_format_is_refused(billing: Billing, api: Client) -> None:
    acme = billing.tenant("one", plan(fee="5.00"))
    await billing.close(MARCH)
    assert_problem(await api.get(await invoice_path(api, acme), acme, format="pdf"), 422, "invalid")
