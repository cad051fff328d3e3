-- The states of a delivery and the transitions between them.

create or replace function signalops.is_valid_transition(before text, after text) returns boolean
language sql immutable strict parallel safe
return (before, after) in (
  ('pending', 'sending'), ('pending', 'cancelled'), ('pending', 'retrying'),
  ('sending', 'sent'), ('sending', 'retrying'), ('sending', 'dead'), ('sending', 'suppressed'), ('sending', 'cancelled'),
  ('sending', 'pending'),
  ('retrying', 'pending'), ('retrying', 'cancelled'), ('retrying', 'sent'), ('pending', 'sent'),
  ('sent', 'delivered'), ('sent', 'read'), ('sent', 'dead'), ('delivered', 'read'),
  ('dead', 'retrying'));
comment on function signalops.is_valid_transition is
  'The ways between the states of a delivery. To sent also from pending and retrying: an attempt that was thought lost had succeeded.';

create or replace function signalops.enforce_transition() returns trigger
language plpgsql as $$
begin
  if not signalops.is_valid_transition(old.status, new.status) then
    raise 'a delivery can not become % once it is %', new.status, old.status using errcode = 'check_violation';
  end if;
  return new;
end
$$;
comment on function signalops.enforce_transition is 'Refuses an invalid transition of a delivery''s status.';

create or replace trigger enforce_transition before update of status on signalops.deliveries
  for each row when (old.status is distinct from new.status) execute function signalops.enforce_transition();
comment on trigger enforce_transition on signalops.deliveries is 'No late callback and no second worker takes a delivery back.';

create or replace function signalops.emit_and_enqueue(event_type text, about jsonb, at_depth smallint) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  in_batch uuid := signalops.new_id();
  event uuid := signalops.emit(signalops.current_tenant(), in_batch, event_type, about, at_depth);
begin
  perform signalops.enqueue('events', 'process_batch', signalops.priority_event(), jsonb_build_object('batch', in_batch));
  return event;
end
$$;
comment on function signalops.emit_and_enqueue is 'Emits an operational event of the tenant that the transaction acts for, with its job.';

create or replace function signalops.dead_letter_delivery(tenant uuid, delivery uuid, because text) returns void
language plpgsql volatile as $$
declare
  lost record;
begin
  select d.event_id, d.rule_id, d.channel_id, d.attempts, coalesce(e.causation_depth, 0) as causation_depth, c.enabled into lost
  from signalops.deliveries d
  left join signalops.events e on e.tenant_id = d.tenant_id and e.id = d.event_id
  left join signalops.channels c on c.tenant_id = d.tenant_id and c.id = d.channel_id
  where d.tenant_id = tenant and d.id = delivery;
  insert into signalops.dead_letters (tenant_id, id, kind, event_id, delivery_id, error)
  values (tenant, delivery, 'delivery', lost.event_id, delivery, left(because, 500))
  on conflict (tenant_id, id) do update
    set error = excluded.error, died_at = signalops.position_time(), resolved_at = null, resolution = null, reason = null;
  -- A disabled channel was reported once; each delivery of its backlog would be one more notice.
  if lost.enabled then
    perform signalops.emit_and_enqueue('signalops.delivery.dead', jsonb_build_object('delivery', delivery, 'event', lost.event_id,
      'rule', jsonb_build_object('id', lost.rule_id), 'channel', jsonb_build_object('id', lost.channel_id),
      'attempts', lost.attempts, 'error', left(because, 500)), (lost.causation_depth + 1)::smallint);
  end if;
end
$$;
comment on function signalops.dead_letter_delivery is
  'Writes the dead letter of a delivery after its last attempt, and emits signalops.delivery.dead.';

create or replace function signalops.advance_delivery(tenant uuid, delivery uuid, to_status text, because text default null) returns boolean
language plpgsql volatile as $$
begin
  update signalops.deliveries d set status = to_status, updated_at = now()
  where d.tenant_id = tenant and d.id = delivery and signalops.is_valid_transition(d.status, to_status);
  if found and to_status = 'dead' then
    perform signalops.dead_letter_delivery(tenant, delivery, because);
  end if;
  return found;
end
$$;
comment on function signalops.advance_delivery is
  'Advances a delivery to its provider''s status (delivered, read, dead with the reason), if that is a valid transition; returns whether it did.';
