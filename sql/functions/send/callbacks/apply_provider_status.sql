-- Callbacks of providers: which delivery they are about, and what they change.

create or replace function signalops.find_called_channel(channel uuid) returns table (tenant_id uuid, secret bytea)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select c.tenant_id, c.secret from signalops.channels c
  where c.id = channel and c.kind = 'whatsapp' and c.deleted_at is null and c.secret is not null
$$;
comment on function signalops.find_called_channel is
  'The channel of a provider''s callback, with the encrypted secret that authenticates the provider: looked up before a tenant is known.';

create or replace function signalops.find_sent(tenant uuid, channel uuid, provider text) returns uuid
language sql stable
return (
  select d.id from signalops.deliveries d
  where d.tenant_id = tenant and d.channel_id = channel and d.provider_id = provider order by d.id desc limit 1);
comment on function signalops.find_sent is 'The delivery that a provider knows by an id of its own; NULL: none.';

create or replace function signalops.apply_provider_status(delivery uuid, provider text, to_status text, because text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  tenant uuid := signalops.current_tenant();
  known record;
begin
  select d.status, d.provider_id into known from signalops.deliveries d where d.tenant_id = tenant and d.id = delivery;
  if to_status in ('delivered', 'read') then
    -- It was sent, whatever we know: the callback may overtake our record, and an attempt that was thought lost had succeeded.
    update signalops.deliveries d set status = 'sent', next_attempt_at = null, updated_at = now()
    where d.tenant_id = tenant and d.id = delivery and d.status <> 'sent' and signalops.is_valid_transition(d.status, 'sent');
  elsif known.status = 'sending' then
    return null;
  elsif known.status is distinct from 'sent' or known.provider_id <> provider then
    -- What failed is an earlier message: this one waits for its turn, is on its way or has arrived.
    return false;
  end if;
  return signalops.advance_delivery(tenant, delivery, to_status, because);
end
$$;
comment on function signalops.apply_provider_status is
  'Applies a provider''s status of a message to a delivery of the transaction''s tenant: delivered, read, or dead with the reason. '
  'In any order, and repeated; returns whether it moved, and NULL of a failure that came before we know which message is meant: it must be told '
  'again.';
