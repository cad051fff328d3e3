-- The version of a tenant's rules, by which workers know that their cache is stale.

create or replace function signalops.bump_ruleset() returns trigger
language plpgsql as $$
begin
  insert into signalops.ruleset_versions (tenant_id) values (coalesce(new.tenant_id, old.tenant_id))
  on conflict (tenant_id) do update set version = signalops.ruleset_versions.version + 1;
  return null;
exception when foreign_key_violation then
  return null; -- the tenant itself is being deleted
end
$$;
comment on function signalops.bump_ruleset is 'Counts a change of a tenant''s rules.';

create or replace trigger bump_ruleset after insert or update or delete on signalops.rules for each row execute function signalops.bump_ruleset();
comment on trigger bump_ruleset on signalops.rules is 'No worker evaluates the rules of before the change in a batch that it takes after it.';

create or replace trigger bump_ruleset after insert or update or delete on signalops.silences for each row execute function signalops.bump_ruleset();
comment on trigger bump_ruleset on signalops.silences is 'A silence takes effect with the next batch, as a change of a rule does.';
