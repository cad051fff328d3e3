-- A channel's secret goes only where it was given for.

create or replace function signalops.secret_destination(kind text, config jsonb) returns jsonb
language sql immutable parallel safe
return case kind
  when 'http' then jsonb_build_array(lower(substring(config ->> 'url' from '^[^/?#]*//[^/?#]*')), lower(coalesce(config ->> 'secretHeader', 'Authorization')))
  when 'email' then jsonb_build_array(config #> '{server,host}', coalesce(config #> '{server,port}', '587'),
    coalesce(config #>> '{server,security}', 'starttls'), config #> '{server,username}')
end;
comment on function signalops.secret_destination is
  'The destination to which a channel of this configuration sends its secret; NULL: none that the configuration names.';

create or replace function signalops.bind_secret() returns trigger
language plpgsql as $$
begin
  raise 'The secret of the channel % would be sent elsewhere: give it again.', new.name
    using errcode = 'check_violation', constraint = 'channels_secret_destination', table = 'channels';
end
$$;
comment on function signalops.bind_secret is 'Prevents that a secret is sent to another destination than the one it was set for.';

create or replace trigger bind_secret before update of config, kind, secret on signalops.channels
for each row when (old.secret is not null and new.secret = old.secret
  and signalops.secret_destination(old.kind, old.config) is distinct from signalops.secret_destination(new.kind, new.config))
execute function signalops.bind_secret();
comment on trigger bind_secret on signalops.channels is 'By whatever way it is changed: HTTP, the command line, SQL.';
