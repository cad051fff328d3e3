-- Dead letters: one that dies again moves to the front of its list, and those who follow the list lose nothing by it.
-- Stage: pre

alter table signalops.dead_letters add column first_died_at timestamptz not null default signalops.position_time();
update signalops.dead_letters set first_died_at = died_at;
comment on column signalops.dead_letters.first_died_at is 'When it was given up for the first time. Whoever follows the list and has seen it there goes on from here: were it given up again, its new place would hide what died in between.';


create or replace function signalops.pick_dead_letters(tenant uuid, letters uuid[] DEFAULT NULL::uuid[], of_kind text DEFAULT NULL::text, channel uuid DEFAULT NULL::uuid, rule uuid DEFAULT NULL::uuid, like_error text DEFAULT NULL::text, since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone, at_most integer DEFAULT 10000, beyond uuid DEFAULT NULL::uuid, upwards boolean DEFAULT false) RETURNS SETOF signalops.dead_letters
    LANGUAGE sql STABLE
    AS $$
  select l.* from signalops.dead_letters l
  where l.tenant_id = tenant and l.ended_at is null and (letters is null or l.id = any (letters))
    and (of_kind is null or l.kind = of_kind) and (channel is null or l.channel_id = channel)
    and (rule is null or l.rule_id = rule) and (like_error is null or strpos(lower(l.error), lower(like_error)) > 0)
    and (since is null or l.died_at >= since) and (until is null or l.died_at < until)
    and (beyond is null or upwards
      or (l.died_at, l.id) < (select b.died_at, b.id from signalops.dead_letters b where b.tenant_id = tenant and b.id = beyond))
    and (beyond is null or not upwards
      or (l.died_at, l.id) > (select least(b.first_died_at, b.died_at), b.id from signalops.dead_letters b where b.tenant_id = tenant and b.id = beyond))
  order by case when upwards then l.died_at end, case when upwards then l.id end, l.died_at desc, l.id desc limit at_most
$$;
