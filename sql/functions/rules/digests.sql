-- Digests: matches that were collected become one event.

alter table signalops.digests drop constraint if exists digests_events_check,
  add constraint digests_events_check check (cardinality(events) between 1 and signalops.digest_events());

create or replace function signalops.flush_digests(at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set enable_hashjoin = off
set enable_mergejoin = off as $$
declare
  in_batch uuid := signalops.new_id();
  one signalops.digests;
  notice uuid;
  delivery uuid;
  jobs jsonb := '[]';
begin
  for one in
    delete from signalops.digests d
    using (
      select g.tenant_id, g.rule_id from signalops.digests g
      where g.due_at <= now() and not exists (
        select from signalops.tenants t where t.id = g.tenant_id and t.status in ('suspended', 'deleting'))
      order by g.due_at limit at_most for update skip locked
    ) due
    where d.tenant_id = due.tenant_id and d.rule_id = due.rule_id
    returning d.*
  loop
    notice := signalops.emit(one.tenant_id, in_batch, 'signalops.rule.digest', jsonb_build_object(
      'rule', jsonb_build_object('id', one.rule_id, 'version', one.rule_version),
      'since', one.opened_at, 'until', one.due_at, 'count', one.matched, 'events', one.events), one.causation_depth + 1::smallint);
    delivery := signalops.new_id();
    insert into signalops.matches (tenant_id, event_id, rule_id, rule_version)
    values (one.tenant_id, notice, one.rule_id, one.rule_version);
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id)
    values (one.tenant_id, delivery, notice, one.rule_id, one.rule_version, one.channel_id);
    jobs := jobs || jsonb_build_object('tenant', one.tenant_id, 'delivery', delivery);
  end loop;
  if jobs <> '[]' then
    perform signalops.enqueue_deliveries(jobs);
    perform signalops.enqueue('events', 'process_batch', signalops.priority_event(), jsonb_build_object('batch', in_batch));
  end if;
  return jsonb_array_length(jobs);
end
$$;
comment on function signalops.flush_digests is
  'Closes the digests that are due: each becomes an operational event signalops.rule.digest and one delivery of it, or stays as it is. Returns how '
  'many.';
