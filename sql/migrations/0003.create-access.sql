-- Station access: tenants and the keys with which their producers come in.

create table signalops.tenants (
  id uuid primary key,
  slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  name text not null check (length(name) between 1 and 200),
  plan text not null default 'free' check (length(plan) between 1 and 63),
  status text not null default 'active' check (status in ('active', 'suspended', 'closed')),
  soft_limit bigint check (soft_limit >= 0),
  hard_limit bigint check (hard_limit >= 0),
  created_at timestamptz not null default now()
);
comment on table signalops.tenants is 'A customer of the installation. Everything else hangs on its id.';
comment on column signalops.tenants.id is 'UUIDv7; the tenant_id of every other table.';
comment on column signalops.tenants.slug is 'The name for command lines and log lines; unique, but no tenant can list or probe it.';
comment on column signalops.tenants.name is 'The name for people.';
comment on column signalops.tenants.plan is 'The plan it is billed by.';
comment on column signalops.tenants.status is 'active; suspended or closed: requests are refused, what was accepted before is still processed.';
comment on column signalops.tenants.soft_limit is 'Events a calendar month (UTC) at which a notice is emitted, once; NULL: none.';
comment on column signalops.tenants.hard_limit is 'Events a calendar month (UTC) beyond which events are refused; NULL: none. A new value holds at once.';
comment on column signalops.tenants.created_at is 'When it was made.';
call signalops.protect('signalops.tenants', 'id');
call signalops.admit_owner('signalops.tenants', 'find_keys reads the status, and the command line lists and makes tenants.');
grant select on signalops.tenants to signalops_api, signalops_worker;

create table signalops.api_keys (
  tenant_id uuid not null references signalops.tenants (id) on delete cascade,
  id uuid not null,
  prefix text not null check (length(prefix) = 16),
  hash text not null check (hash ~ '^\$2[aby]\$'),
  label text not null check (length(label) between 1 and 200),
  scopes text[] not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  primary key (tenant_id, id)
);
comment on table signalops.api_keys is 'API keys, as bcrypt hashes; the key itself is shown once and never stored.';
comment on column signalops.api_keys.tenant_id is 'Whose key it is.';
comment on column signalops.api_keys.id is 'UUIDv7.';
comment on column signalops.api_keys.prefix is 'The first 16 characters of the key: enough to find the row, too little to guess the rest.';
comment on column signalops.api_keys.hash is 'bcrypt hash of the whole key.';
comment on column signalops.api_keys.label is 'What the tenant calls it.';
comment on column signalops.api_keys.scopes is 'What it may do, such as events:write.';
comment on column signalops.api_keys.created_at is 'When it was made.';
comment on column signalops.api_keys.expires_at is 'From when it is refused; NULL: never.';
comment on column signalops.api_keys.revoked_at is 'When it was revoked; NULL: it is not.';
call signalops.protect('signalops.api_keys');
call signalops.admit_owner('signalops.api_keys', 'find_keys looks a key up before any tenant is known.');
grant select on signalops.api_keys to signalops_api;

-- Serves find_keys. Not unique: uniqueness across tenants would tell one tenant of another's key.
create index api_keys_by_prefix on signalops.api_keys (prefix);

create function signalops.find_keys(wanted text)
returns table (tenant_id uuid, key_id uuid, hash text, scopes text[], expires_at timestamptz, tenant_status text)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select k.tenant_id, k.id, k.hash, k.scopes, k.expires_at, t.status
  from signalops.api_keys k join signalops.tenants t on t.id = k.tenant_id
  where k.prefix = wanted and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;
comment on function signalops.find_keys(text) is
  'The usable keys with a prefix, with hash and tenant: the one look-up that happens before a tenant is known.';
revoke all on function signalops.find_keys(text) from public;
grant execute on function signalops.find_keys(text) to signalops_api;

create function signalops.announce_key_change() returns trigger
language plpgsql
as $$
begin
  perform pg_notify('signalops_access', '');
  return null;
end
$$;
comment on function signalops.announce_key_change() is
  'Tells every API process to forget the keys that it remembers: what was revoked or suspended is refused from then on.';
create trigger announce_key_change after update or delete on signalops.api_keys
  for each statement execute function signalops.announce_key_change();
comment on trigger announce_key_change on signalops.api_keys is 'A revoked key is refused at once everywhere.';
create trigger announce_key_change after update of status or delete on signalops.tenants
  for each statement execute function signalops.announce_key_change();
comment on trigger announce_key_change on signalops.tenants is 'A suspended tenant is refused at once everywhere.';
