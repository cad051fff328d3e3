"""A batch is processed exactly once, against the rules as they stand, and no event of it stops another."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from signalops import telemetry
from tests.support.rules import make_rule
from tests.support.tenants import Tenant, set_limit
from tests.support.worlds.pipeline import Pipeline

POISON = """
  create function signalops.refuse() returns trigger language plpgsql as $$
  begin
    if (select payload ? 'poison' from signalops.events where tenant_id = new.tenant_id and id = new.event_id) then
      raise 'this event is poisonous' using errcode = '22023';
    end if;
    return new;
  end $$;
  create trigger refuse before insert on signalops.matches for each row execute function signalops.refuse();
"""


@pytest.fixture
def emitted() -> Iterator[list[str]]:
    """The names of the facts that were emitted."""
    names: list[str] = []
    unsubscribe = telemetry.subscribe(lambda name, _: names.append(name))
    yield names
    unsubscribe()


async def test_two_workers_on_one_batch_count_it_once(pipeline: Pipeline, acme: Tenant, globex: Tenant) -> None:
    make_rule(pipeline.owner, acme, {"type": ["user.signup"]})
    batch = await pipeline.accept(*[(t, {"n": n}) for t in (acme, globex) for n in range(20)])
    await asyncio.gather(*(pipeline.handlers.process_batch(batch, job) for job in (1, 2, 3)))

    assert (pipeline.used(acme), pipeline.used(globex)) == (20, 20)
    assert pipeline.rows("select tenant_id, events, dead from signalops.batch_results order by tenant_id") == [
        (acme.id, 20, 0),
        (globex.id, 20, 0),
    ]
    assert pipeline.rows("select from signalops.inbox") == []
    assert pipeline.rows("select count(*), count(distinct event_id) from signalops.matches") == [(20, 20)]
    assert len(pipeline.jobs("send_delivery")) == 20


async def test_batches_of_the_same_tenants_at_once_do_not_lock_each_other_out(
    pipeline: Pipeline, acme: Tenant, globex: Tenant
) -> None:
    acmes, globexes = [(acme, {"n": n}) for n in range(20)], [(globex, {"n": n}) for n in range(20)]
    batches = await asyncio.gather(*(pipeline.accept(*(acmes + globexes if n % 2 else globexes + acmes)) for n in range(24)))
    await asyncio.gather(*(pipeline.handlers.process_batch(batch, 1) for batch in batches))
    assert (pipeline.used(acme), pipeline.used(globex)) == (480, 480)


async def test_each_match_has_one_delivery_with_one_job(pipeline: Pipeline, acme: Tenant) -> None:
    for _ in range(2):
        make_rule(pipeline.owner, acme, {"type": ["user.signup"]})
    await pipeline.handlers.process_batch(await pipeline.accept((acme, {})), 1)
    matched = pipeline.rows("select event_id, rule_id, rule_version from signalops.matches order by 2")
    deliveries = pipeline.rows("select event_id, rule_id, rule_version from signalops.deliveries order by 2")
    assert matched == deliveries
    assert len(matched) == 2
    stored_deliveries = pipeline.rows("select id::text, tenant_id::text from signalops.deliveries")
    assert sorted((job["delivery"], job["tenant"]) for job in pipeline.jobs("send_delivery")) == sorted(stored_deliveries)


async def test_a_batch_is_held_against_its_own_tenants_rules_alone(pipeline: Pipeline, acme: Tenant, globex: Tenant) -> None:
    make_rule(pipeline.owner, acme, {"type": ["user.signup"]})
    await pipeline.handlers.process_batch(await pipeline.accept((acme, {}), (globex, {})), 1)
    assert pipeline.rows("select tenant_id from signalops.matches") == [(acme.id,)]
    assert sorted(pipeline.rows("select tenant_id, rules from signalops.batch_results")) == sorted([(acme.id, 1), (globex.id, 0)])


async def test_a_change_of_rules_holds_from_the_next_batch_and_is_on_record(pipeline: Pipeline, acme: Tenant) -> None:
    rule = make_rule(pipeline.owner, acme, {"payload": {"plan": ["pro"]}})
    first = await pipeline.accept((acme, {"plan": "pro"}), (acme, {"plan": "free"}))
    await pipeline.handlers.process_batch(first, 1)

    with pipeline.owner.transaction():
        pipeline.owner.execute(
            "insert into signalops.rule_versions (tenant_id, rule_id, version, grammar, pattern, channel_id, template) "
            """select tenant_id, rule_id, 2, 2, '{"payload": {"plan": ["free"]}}', channel_id, template """
            "from signalops.rule_versions where rule_id = %s",
            [rule],
        )
        pipeline.owner.execute("update signalops.rules set active_version = 2 where id = %s", [rule])
    second = await pipeline.accept((acme, {"plan": "pro"}), (acme, {"plan": "free"}))
    await pipeline.handlers.process_batch(second, 2)

    matched = "select payload ->> 'plan', rule_version from signalops.matches m join signalops.events e on e.id = m.event_id"
    assert sorted(pipeline.rows(matched)) == [("free", 2), ("pro", 1)]
    assert pipeline.rows("select ruleset_version from signalops.batch_results order by batch") == [(1,), (2,)]

    pipeline.owner.execute("update signalops.rules set enabled = false where id = %s", [rule])
    await pipeline.handlers.process_batch(await pipeline.accept((acme, {"plan": "free"})), 3)
    assert len(pipeline.rows(matched)) == 2
    assert pipeline.rows("select ruleset_version, rules from signalops.batch_results order by batch desc limit 1") == [(3, 0)]


async def test_a_rule_of_the_first_grammar_decides_as_it_was_written(pipeline: Pipeline, acme: Tenant) -> None:
    make_rule(pipeline.owner, acme, {"payload.plan": "pro"}, grammar=1)
    await pipeline.handlers.process_batch(await pipeline.accept((acme, {"plan": "pro"}), (acme, {"plan": "free"})), 1)
    matched = "select payload from signalops.matches m join signalops.events e on e.id = m.event_id"
    assert pipeline.rows(matched) == [({"plan": "pro"},)]


async def test_a_rule_that_cannot_be_compiled_stops_no_other(pipeline: Pipeline, acme: Tenant, emitted: list[str]) -> None:
    make_rule(pipeline.owner, acme, {"type": "no list"})
    good = make_rule(pipeline.owner, acme, {"type": ["user.signup"]})
    await pipeline.handlers.process_batch(await pipeline.accept((acme, {})), 1)
    assert pipeline.rows("select rule_id from signalops.matches") == [(good,)]
    assert "rule.compile_failed" in emitted


async def test_operational_events_are_processed_and_not_billed(pipeline: Pipeline, acme: Tenant) -> None:
    make_rule(pipeline.owner, acme, {"type": ["signalops.usage.soft_limit_reached"]})
    set_limit(pipeline.owner, acme.id, soft=2)
    await pipeline.handlers.process_batch(await pipeline.accept(*[(acme, {})] * 3), 1)

    assert pipeline.rows("select type, count(*) from signalops.events group by type order by 2") == [
        ("signalops.usage.soft_limit_reached", 1),
        ("user.signup", 3),
    ]
    assert pipeline.rows("select events from signalops.batch_results") == [(4,)]
    assert pipeline.used(acme) == 3
    assert pipeline.rows("select accepted from signalops.accepted_counters") == [(3,)]
    assert len(pipeline.rows("select from signalops.matches")) == 1


async def test_a_poisonous_event_dies_alone(pipeline: Pipeline, acme: Tenant, globex: Tenant, emitted: list[str]) -> None:
    for tenant in (acme, globex):
        make_rule(pipeline.owner, tenant, {"type": ["user.signup"]})
    pipeline.owner.execute(POISON)
    batch = await pipeline.accept(*[(t, {"poison": 1} if n in (3, 4) else {"n": n}) for t in (acme, globex) for n in range(9)])
    await pipeline.handlers.process_batch(batch, 1)

    dead = "select tenant_id, kind, error from signalops.dead_letters"
    dead_letters = pipeline.rows(dead)
    assert sorted(tenant for tenant, *_ in dead_letters) == sorted([acme.id, acme.id, globex.id, globex.id])
    assert {kind for _, kind, _ in dead_letters} == {"event"}
    assert all("this event is poisonous" in error for *_, error in dead_letters)
    assert pipeline.rows("select events, dead from signalops.batch_results") == [(7, 2), (7, 2)]
    assert (pipeline.used(acme), pipeline.used(globex)) == (7, 7)
    assert pipeline.rows("select status, count(*) from signalops.event_status group by 1 order by 1") == [
        ("dead", 4),
        ("processed", 14),
    ]
    assert (emitted.count("batch.bisected"), emitted.count("event.dead_lettered")) == (1, 4)
    assert len(pipeline.jobs("send_delivery")) == 14


async def test_what_only_the_operator_can_mend_kills_no_event(pipeline: Pipeline, acme: Tenant) -> None:
    make_rule(pipeline.owner, acme, {"type": ["user.signup"]})
    batch = await pipeline.accept((acme, {}))
    pipeline.owner.execute("revoke insert on signalops.matches from signalops_worker")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await pipeline.handlers.process_batch(batch, 1)
    assert len(pipeline.rows("select from signalops.inbox")) == 1
    pipeline.owner.execute("grant insert on signalops.matches to signalops_worker")
    await pipeline.handlers.process_batch(batch, 2)
    assert (pipeline.used(acme), pipeline.rows("select from signalops.dead_letters")) == (1, [])


async def test_an_outage_in_the_middle_leaves_the_batch_as_it_was(pipeline: Pipeline, acme: Tenant) -> None:
    batch = await pipeline.accept((acme, {}))
    pipeline.owner.execute(
        "create function signalops.hang_up() returns trigger language plpgsql security definer as "
        "$$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$; "
        "create trigger hang_up before insert on signalops.usage_counters execute function signalops.hang_up();"
    )
    with pytest.raises(psycopg.OperationalError):
        await pipeline.handlers.process_batch(batch, 1)
    assert len(pipeline.rows("select from signalops.inbox")) == 1
    assert (pipeline.used(acme), pipeline.rows("select from signalops.batch_results")) == (0, [])

    pipeline.owner.execute("drop trigger hang_up on signalops.usage_counters")
    await pipeline.handlers.process_batch(batch, 1)
    assert (pipeline.used(acme), pipeline.rows("select from signalops.inbox")) == (1, [])
