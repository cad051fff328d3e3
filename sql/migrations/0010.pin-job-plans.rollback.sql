-- Lets the queue's functions plan for themselves again.

do $$
declare
  hot regprocedure;
begin
  for hot in select oid from pg_proc where pronamespace = 'procrastinate'::regnamespace and proconfig is not null loop
    execute format('alter function %s reset all', hot);
  end loop;
end
$$;
