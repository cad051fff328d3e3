"""Holes of each kind, and what the check must say of each: a check that can't fail proves nothing."""

from typing import LiteralString, NamedTuple


class Hole(NamedTuple):
    """A statement that opens a leak, the object that the finding must name, and words of the finding."""

    plant: LiteralString
    object: str
    says: str


HOLES = {
    "a table without a policy": Hole(
        """create table signalops.bare (tenant_id uuid primary key);
        grant select, insert, update, delete on signalops.bare to signalops_api""",
        "bare",
        "count all: 1 rows",
    ),
    "a table without protection that nobody was granted": Hole(
        "create table signalops.idle (tenant_id uuid primary key)", "idle", "be forced: row-level security is not enabled"
    ),
    "a table whose owner passes row security": Hole(
        "alter table signalops.replays no force row level security", "replays", "not enabled and forced"
    ),
    "a table that can't be tried": Hole(
        """create table signalops.choosy (tenant_id uuid primary key, kind text not null check (kind = 'z'));
        alter table signalops.choosy enable row level security, force row level security;
        create policy own_tenant on signalops.choosy using (tenant_id = (select signalops.current_tenant()))
          with check (tenant_id = (select signalops.current_tenant()))""",
        "choosy",
        "give it one in isolation/rows.py",
    ),
    "a policy that uses true": Hole(
        "create policy wide on signalops.inbox to signalops_worker using (true)", "inbox", "read the other's: 1 rows"
    ),
    "a policy that checks nothing": Hole(
        """create policy writes on signalops.event_schemas for insert to signalops_api with check (true)""",
        "event_schemas",
        "write for the other",
    ),
    "a policy that lets rows be given away": Hole(
        """create policy changes on signalops.channels for update to signalops_api using (true) with check (true);
        grant update on signalops.channels to signalops_api""",
        "channels",
        "give away the own",
    ),
    "rows that can be deleted": Hole(
        """create policy deletes on signalops.suppressions for delete to signalops_api using (true);
        create policy sees on signalops.suppressions for select to signalops_api using (true)""",
        "suppressions",
        "delete the other's: 1 rows",
    ),
    "rows that can be deleted unseen": Hole(
        "create policy deletes on signalops.window_events for delete to signalops_worker using (true)",
        "window_events",
        "delete blindly: 2 rows",
    ),
    "a table of somebody else's": Hole(
        "reset role; create table signalops.stray (tenant_id uuid primary key); set role signalops_owner",
        "stray",
        "belongs to a role",
    ),
    "truncate": Hole(
        "grant truncate on signalops.accepted_counters to signalops_api", "accepted_counters", "is granted truncate"
    ),
    "a table of the operator's that is granted": Hole(
        "grant select on signalops.plans to signalops_api", "plans", "nothing separates tenants"
    ),
    "a partition that is granted": Hole(
        """create table signalops.events_2020_01 partition of signalops.events
          for values from (signalops.uuid7_floor('2020-01-01')) to (signalops.uuid7_floor('2020-02-01'));
        alter table signalops.events_2020_01 enable row level security, force row level security;
        grant select on signalops.events_2020_01 to signalops_api""",
        "events_2020_01",
        "is granted select",
    ),
    "a view with its owner's rights": Hole(
        """create view signalops.short as select tenant_id, id from signalops.events;
        grant select on signalops.short to signalops_api""",
        "short",
        "read the other's: 1 rows",
    ),
    "a view that hides whose a row is": Hole(
        "create view signalops.blind as select name from signalops.rules; grant select on signalops.blind to signalops_api",
        "blind",
        "nothing separates tenants",
    ),
    "a materialized view": Hole(
        """create materialized view signalops.stale as select tenant_id from signalops.rules;
        grant select on signalops.stale to signalops_worker""",
        "stale",
        "is granted select",
    ),
    "a function that answers with any tenant's row": Hole(
        """create function signalops.peek(wanted uuid) returns text language sql stable security definer
        return (select name from signalops.tenants where id = wanted)""",
        "peek(uuid)",
        "answers ('Tenant',) and not (None,)",
    ),
    "a function that tells that something exists by refusing it": Hole(
        """create function signalops.probe(wanted uuid) returns void language plpgsql security definer as $$
        begin
          if exists (select from signalops.channels where id = wanted) then raise 'it is taken'; end if;
        end $$""",
        "probe(uuid)",
        "answers it is taken and not ('',)",
    ),
    "a function that writes any tenant's row": Hole(
        """create function signalops.rename(wanted uuid) returns void language sql security definer
        begin atomic update signalops.deliveries set window_context = '{}' where id = wanted; end""",
        "rename(uuid)",
        "changes the other's deliveries",
    ),
    "a function that enqueues any tenant's job": Hole(
        """create function signalops.hurry(tenant uuid) returns void language sql security definer
        set search_path = procrastinate begin atomic
        select procrastinate.procrastinate_defer_jobs_v1(array[
          row('events', 'x', 0, null, null, jsonb_build_object('tenant', tenant), null)
          ::procrastinate.procrastinate_job_to_defer_v1]); end""",
        "hurry(uuid)",
        "changes the other's jobs",
    ),
    "a SECURITY DEFINER function that nobody tries": Hole(
        "create function signalops.ask(what jsonb) returns void language sql security definer return null",
        "ask(jsonb)",
        "say what to call it with for what",
    ),
    "a SECURITY DEFINER function of a type that is not known": Hole(
        "create function signalops.ask(what inet) returns void language sql security definer return null",
        "ask(inet)",
        "say what to call it with for what",
    ),
    "a function that acts for a tenant given as an argument": Hole(
        """create function signalops.become(tenant uuid) returns void language plpgsql as $$
        begin perform signalops.set_tenant(tenant); end $$""",
        "become(uuid)",
        "declare it with the reason",
    ),
    "a trigger that reaches for what a row names": Hole(
        """create function signalops.meddle() returns trigger language plpgsql security definer as $$
        begin update signalops.send_targets set failures = 9 where id = new.channel_id; return null; end $$;
        create trigger meddle after insert on signalops.digests for each row execute function signalops.meddle()""",
        "digests",
        "a trigger changes what the other has",
    ),
    "a unique index across tenants, of what tenants choose": Hole(
        "create unique index leaky on signalops.event_types (type)", "leaky", "duplicate key value"
    ),
    "a unique index across tenants, of ids": Hole(
        "create unique index leaky_ids on signalops.backtests (id)", "leaky_ids", "duplicate key value"
    ),
    "a foreign key across tenants": Hole(
        """alter table signalops.rule_states add constraint reaching foreign key (rule_id) references signalops.tenants (id)""",
        "rule_states",
        "refer to the other's: 1 rows",
    ),
    "a sequence that numbers the rows of all": Hole(
        "alter table signalops.send_targets add column no bigserial", "send_targets_no_seq", "counts the rows of all tenants"
    ),
    "a sequence that may be looked at": Hole(
        "create sequence signalops.tally; grant usage on sequence signalops.tally to signalops_worker",
        "tally",
        "counts the rows of all tenants",
    ),
}
ALSO = {"event_types_pkey", "choosy_pkey", "stray_pkey", "backtests", "send_targets"}
"""Blamed besides: indexes untried for want of a row, and tables that refuse rows because of an index or a sequence."""
