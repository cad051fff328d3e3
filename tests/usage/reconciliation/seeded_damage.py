"""Ways to damage the records of usage, each with the checks that must find it, and no others."""

from typing import LiteralString, NamedTuple


class Damage(NamedTuple):
    """What somebody with all rights does, past every trigger, and which checks find it."""

    done: LiteralString
    found_by: frozenset[str]


def _damage(done: LiteralString, *found_by: str) -> Damage:
    return Damage(done, frozenset(found_by))


# The last of acme's rows belong to the open period, which no seal and no invoice has seen; the first to a closed one.
_LAST: LiteralString = "where tenant_id = %(tenant)s order by id desc limit 1"
_COUNTERS: LiteralString = "select ctid from signalops.usage_counters where tenant_id = %(tenant)s and meter = "
_OPEN: LiteralString = " order by period desc, hour desc, group_key limit 1"
# In the first hours of a month the period before is closed, too, with an event of hours ago that no plan prices.
_CLOSED: LiteralString = """
  and period = (
    select min(i.period) from signalops.invoices i
    join signalops.invoice_lines l on l.tenant_id = i.tenant_id and l.invoice_id = i.id
    where i.tenant_id = %(tenant)s and l.meter = 'events')
  order by hour desc, group_key limit 1"""
_ENTRIES: LiteralString = "select id from signalops.usage_entries where tenant_id = %(tenant)s and meter = "
_NEWEST: LiteralString = " order by id desc limit 1"
# Its value is met once in its counter.
_EVENT: LiteralString = """
  select id from signalops.events where tenant_id = %(tenant)s and payload = '{"v": 19, "k": "0"}' order by id desc limit 1"""
_DOUBLE: LiteralString = """
  insert into signalops.usage_entries
  select tenant_id, meter, period, signalops.new_id(), batch, hour, group_key, is_late, events, value, latest_at, latest_event,
    event_ids
  from signalops.usage_entries where id = """
_ITEM: LiteralString = """
  from signalops.usage_distinct_values where tenant_id = %(tenant)s
  order by period desc, hour desc, group_key, distinct_value limit 1"""
_LINE: LiteralString = """
  update signalops.invoice_lines l set {} from signalops.invoices i
  where i.tenant_id = l.tenant_id and i.id = l.invoice_id and i.voided_at is null and i.tenant_id = %(tenant)s and """
_DAY: LiteralString = """
  update signalops.usage_daily set quantity = quantity + 1 where ctid = (
    select ctid from signalops.usage_daily where tenant_id = %(tenant)s and meter = 'm_max' """
_RESEAL: LiteralString = """;
  update signalops.usage_hash_chain s set digest = signalops.digest_days(s.tenant_id, s.period, s.previous)
  where tenant_id = %(tenant)s"""

DAMAGES: dict[str, Damage] = {
    # From the events to the ledger
    "an event is lost": _damage(
        f"delete from signalops.events where tenant_id = %(tenant)s and id = ({_EVENT})", "accepted", "entry"
    ),
    "an event was never accepted": _damage(
        "insert into signalops.events (tenant_id, id, batch, type, occurred_at, received_at, payload)"
        " select tenant_id, signalops.new_id(), batch, type, occurred_at, received_at, payload"
        f" from signalops.events where id = ({_EVENT})",
        "event",
    ),
    "an event happened at another time": _damage(
        f"update signalops.events set occurred_at = occurred_at - interval '2 hours' where id = ({_EVENT})",
        *("entry", "recount", "items"),
    ),
    "an event says something else": _damage(
        f'update signalops.events set payload = \'{{"v": 123, "k": "0"}}\' where id = ({_EVENT})', "recount", "items"
    ),
    "an operational event is billed": _damage(
        f"update signalops.events set causation_depth = 1 where id = ({_EVENT})", "accepted", "entry", "recount", "items"
    ),
    "a waiting event is forgotten": _damage("delete from signalops.inbox where tenant_id = %(tenant)s", "accepted", "event"),
    "a counted event waits again": _damage(
        f"insert into signalops.inbox (tenant_id, event_id, batch) select %(tenant)s, ({_EVENT}), signalops.new_id()", "event"
    ),
    "a dead letter is lost": _damage(
        "delete from signalops.dead_letters where tenant_id = %(tenant)s and resolved_at is null", "accepted", "event"
    ),
    "more was accepted than there is": _damage(
        "update signalops.accepted_counters set accepted = accepted + 1 where tenant_id = %(tenant)s", "accepted"
    ),
    "a batch billed one more": _damage(
        f"update signalops.batch_results set billed = billed + 1 where batch = ("
        f"select batch from signalops.usage_entries {_LAST})",
        "batch",
    ),
    # The ledger, and the counters that it adds up to
    "an entry of all events is lost": _damage(
        f"delete from signalops.usage_entries where id = ({_ENTRIES}'events'{_NEWEST})", "accepted", "event", "batch", "counter"
    ),
    "an entry of a meter is lost": _damage(
        f"delete from signalops.usage_entries where id = ({_ENTRIES}'m_sum'{_NEWEST})", "counter", "recount"
    ),
    "an entry stands twice": _damage(f"{_DOUBLE}({_ENTRIES}'m_sum'{_NEWEST})", "counter", "twice", "recount"),
    "events are counted twice, the counter with them": _damage(
        f"{_DOUBLE}({_ENTRIES}'events'{_NEWEST});"
        f" update signalops.usage_counters c set events = c.events + e.events, value = c.value + e.value"
        f" from signalops.usage_entries e where e.id = ({_ENTRIES}'events'{_NEWEST}) and e.tenant_id = c.tenant_id"
        f" and (c.meter, c.hour, c.group_key, c.period) = (e.meter, e.hour, e.group_key, e.period)",
        *("event", "batch", "twice"),
    ),
    "an entry counts more than its events": _damage(
        f"update signalops.usage_entries set events = events + 1 where id = ({_ENTRIES}'m_sum'{_NEWEST})", "counter", "entry"
    ),
    "an entry lies in another hour": _damage(
        f"update signalops.usage_entries set hour = hour - interval '1 hour' where id = ({_ENTRIES}'m_max'{_NEWEST})",
        *("counter", "entry", "recount"),
    ),
    "a late entry is called timely": _damage(
        f"update signalops.usage_entries set is_late = false where id = ({_ENTRIES}'m_max'{_NEWEST})", "entry"
    ),
    "a figure is raised with its entry": _damage(
        f"update signalops.usage_entries set value = value + 1 where id = ({_ENTRIES}'m_sum'{_NEWEST});"
        f" update signalops.usage_counters c set value = c.value + 1"
        f" from signalops.usage_entries e where e.id = ({_ENTRIES}'m_sum'{_NEWEST}) and e.tenant_id = c.tenant_id"
        f" and (c.meter, c.hour, c.group_key, c.period) = (e.meter, e.hour, e.group_key, e.period)",
        "recount",
    ),
    **{
        f"a counter is raised: {meter}": _damage(
            f"update signalops.usage_counters set value = value + 1 where ctid = ({_COUNTERS}'{meter}'{_OPEN})", "counter"
        )
        for meter in ("events", "m_count", "m_sum", "m_max", "m_min", "m_avg", "m_latest")
    },
    "a counter has an event more": _damage(
        f"update signalops.usage_counters set events = events + 1 where ctid = ({_COUNTERS}'m_unique_count'{_OPEN})", "counter"
    ),
    "a counter is lost": _damage(f"delete from signalops.usage_counters where ctid = ({_COUNTERS}'m_avg'{_OPEN})", "counter"),
    "a billed counter is raised": _damage(
        f"update signalops.usage_counters set value = value + 1, events = events + 1 where ctid = ({_COUNTERS}'events'{_CLOSED})",
        *("counter", "sealed", "line", "price"),
    ),
    "a different value is forgotten": _damage(
        f"delete from signalops.usage_distinct_values where ctid = (select ctid {_ITEM})", "items"
    ),
    "a different value is made up": _damage(
        f"insert into signalops.usage_distinct_values select tenant_id, meter, hour, group_key, period, '\"made up\"' {_ITEM}",
        "items",
    ),
    "a meter means something else": _damage(
        "update signalops.meters set pattern = '{\"type\": [\"nothing\"]}' where tenant_id = %(tenant)s and key = 'm_min'",
        "recount",
    ),
    # What is sealed
    "a correction of a closed period is changed": _damage(
        "update signalops.usage_adjustments set quantity = -1 where id = ("
        "select id from signalops.usage_adjustments where tenant_id = %(tenant)s order by id limit 1)",
        *("sealed", "line", "price"),
    ),
    "a sealed figure is forged": _damage(f"{_DAY} order by period desc, day limit 1)", "sealed", "chain"),
    "a sealed figure is forged, and its seal": _damage(f"{_DAY} order by period desc, day limit 1){_RESEAL}", "sealed"),
    "an old sealed figure is forged, and its seal": _damage(f"{_DAY} order by period, day limit 1){_RESEAL}", "sealed", "chain"),
    "a sealed figure is removed": _damage(
        "delete from signalops.usage_daily where tenant_id = %(tenant)s and meter = 'm_max'", "sealed", "chain"
    ),
    "a seal is broken off": _damage(
        "delete from signalops.usage_hash_chain where tenant_id = %(tenant)s and period = ("
        "select max(period) from signalops.usage_hash_chain where tenant_id = %(tenant)s)",
        "chain",
    ),
    "the last period is as if it had never been": _damage(
        "; ".join(
            f"delete from signalops.{table} where tenant_id = %(tenant)s and period = ("
            "select max(period) from signalops.usage_hash_chain where tenant_id = %(tenant)s)"
            for table in ("usage_daily", "billing_periods", "usage_hash_chain")
        ),
        "chain",
    ),
    # Invoices
    "a line bills more than was used": _damage(
        _LINE.replace("{}", "quantity = quantity + 1") + "l.kind = 'usage' and l.meter = 'events'", "line"
    ),
    "a late line bills more than was late": _damage(_LINE.replace("{}", "quantity = quantity + 1") + "l.kind = 'late'", "line"),
    "a line costs more": _damage(_LINE.replace("{}", "amount = amount + 0.01") + "l.kind = 'base'", *("invoice", "price")),
    "a line costs more, and the total with it": _damage(
        _LINE.replace("{}", "amount = amount + 1")
        + "l.kind = 'base'; update signalops.invoices set subtotal = subtotal + 1, total = total + 1"
        " where tenant_id = %(tenant)s and voided_at is null and kind = 'invoice'",
        "price",
    ),
    "the terms say something else than when they were billed by": _damage(
        "update signalops.subscriptions set terms = jsonb_set(terms, '{baseFee}', '\"8.00\"')"
        " where tenant_id = %(tenant)s and plan = 'pro'",
        "price",
    ),
    "an invoice is missing in a currency": _damage(
        "update signalops.subscriptions set terms = jsonb_set(terms, '{currency}', '\"USD\"')"
        " where tenant_id = %(tenant)s and plan = 'pro'",
        "price",
    ),
    "a line is removed": _damage(
        "delete from signalops.invoice_lines where tenant_id = %(tenant)s and kind = 'base'", *("invoice", "price")
    ),
    "a total is higher": _damage(
        "update signalops.invoices set subtotal = subtotal + 1, total = total + 1 where tenant_id = %(tenant)s", "invoice"
    ),
    "less credit was used than burned": _damage(
        "update signalops.invoices set credited = credited - 0.5, total = total + 0.5"
        " where tenant_id = %(tenant)s and credited > 0 and voided_at is null",
        *("invoice", "burned"),
    ),
    "a voided invoice never was": _damage(
        "delete from signalops.invoice_lines where invoice_id = (select id from signalops.invoices where voided_at is not null);"
        " delete from signalops.invoices where voided_at is not null",
        *("number", "credit"),
    ),
    "a number is given twice, to another tenant": _damage(
        "insert into signalops.invoices"
        " select (jsonb_populate_record(i, jsonb_build_object('tenant_id', t.id))).*"
        " from signalops.tenants t, signalops.invoices i"
        " where t.slug = 'globex' and i.tenant_id = %(tenant)s and i.kind = 'credit_note'",
        "number",
    ),
    "a number is above the last": _damage(
        "update signalops.invoice_numbers set last = last - 1 where series = 'invoice'", "number"
    ),
    # Credit
    "a grant has more left than it has": _damage(
        "update signalops.credit_grants set remaining = 1 where tenant_id = %(tenant)s", "credit"
    ),
    "a grant is overdrawn": _damage(
        "insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount)"
        " select tenant_id, signalops.new_id(), id, 'expired', -1 from signalops.credit_grants where tenant_id = %(tenant)s",
        "credit",
    ),
    "credit is burned for nothing": _damage(
        "delete from signalops.credit_entries where kind = 'burned' and invoice_id ="
        " (select id from signalops.invoices where credited > 0 and voided_at is null)",
        *("credit", "burned"),
    ),
    "more was granted than on record": _damage(
        "update signalops.credit_grants set amount = amount + 1 where tenant_id = %(tenant)s", "credit"
    ),
}
