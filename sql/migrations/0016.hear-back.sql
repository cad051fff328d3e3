-- Station send: what providers call back, and the addresses that are not written to any more.

create table signalops.suppressions (
  tenant_id uuid not null references signalops.tenants (id) on delete cascade,
  id uuid not null,
  address text not null check (address = lower(address) and length(address) <= 254),
  reason text not null check (reason in ('bounce', 'complaint')),
  detail text check (length(detail) <= 500),
  delivery_id uuid not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, address)
);
comment on table signalops.suppressions is
  'Addresses that a tenant''s mail is not sent to any more: they do not exist, or called it spam. Who writes on loses his name as a sender.';
comment on column signalops.suppressions.tenant_id is 'Whose mail it is.';
comment on column signalops.suppressions.id is 'UUIDv7.';
comment on column signalops.suppressions.address is 'The address, in lower case.';
comment on column signalops.suppressions.reason is 'bounce: there is no such mailbox; complaint: the recipient reported the mail as spam.';
comment on column signalops.suppressions.detail is 'What the recipient''s server said.';
comment on column signalops.suppressions.delivery_id is 'The delivery that it came of.';
comment on column signalops.suppressions.created_at is 'When it was heard of.';
call signalops.protect('signalops.suppressions');
grant select, insert, delete on signalops.suppressions to signalops_api;
grant select on signalops.suppressions to signalops_worker;

-- Serves find_called_channel. Not unique: uniqueness across tenants would tell one tenant of another's.
create index channels_by_id on signalops.channels (id);

create function signalops.find_called_channel(wanted uuid)
returns table (tenant_id uuid, secret bytea)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select c.tenant_id, c.secret from signalops.channels c
  where c.id = wanted and c.kind = 'whatsapp' and c.deleted_at is null and c.secret is not null
$$;
comment on function signalops.find_called_channel(uuid) is
  'Whose channel a provider calls back, with the sealed secret that tells whether it is the provider: looked up before a tenant is known.';
revoke all on function signalops.find_called_channel(uuid) from public;
grant execute on function signalops.find_called_channel(uuid) to signalops_api;
call signalops.admit_owner('signalops.channels', 'find_called_channel looks a channel up before any tenant is known.');

create function signalops.hear_of_delivery(delivery uuid, provider text, to_status text, because text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
declare
  tenant uuid := signalops.current_tenant();
  known record;
begin
  select d.status, d.provider_id into known from signalops.deliveries d where d.tenant_id = tenant and d.id = delivery;
  if to_status in ('delivered', 'read') then
    -- It was sent, whatever we know: the callback may overtake our record, and an attempt that was thought lost had succeeded.
    update signalops.deliveries d set status = 'sent', next_attempt_at = null, updated_at = now()
    where d.tenant_id = tenant and d.id = delivery and d.status <> 'sent' and signalops.may_become(d.status, 'sent');
  elsif known.status = 'sending' then
    return null;
  elsif known.status is distinct from 'sent' or known.provider_id <> provider then
    -- What failed is an earlier message: this one waits for its turn, is on its way or has arrived.
    return false;
  end if;
  return signalops.advance_delivery(tenant, delivery, to_status, because);
end
$$;
comment on function signalops.hear_of_delivery(uuid, text, text, text) is
  'Moves a delivery of the tenant that the transaction acts for to what its provider says of a message: delivered, read, or dead with the '
  'reason. In any order, and repeated; returns whether it moved, and NULL of a failure that came before we know which message is meant: '
  'it must be told again.';
revoke all on function signalops.hear_of_delivery(uuid, text, text, text) from public;
grant execute on function signalops.hear_of_delivery(uuid, text, text, text) to signalops_api;
