-- The migrator: releases that are not the newest learn which of the later migrations leave them running.
-- Stage: pre

create table yoyo.stages (
  migration_id text primary key,
  stage text not null constraint stages_stage_check check (stage in ('pre', 'post'))
);
comment on table yoyo.stages is
  'Of each migration that was applied since this one: pre, the release before runs on; post, it took away what that needs.';
comment on column yoyo.stages.migration_id is 'As in yoyo._yoyo_migration.';
comment on column yoyo.stages.stage is 'As the file says it.';
grant select on yoyo.stages to signalops_api, signalops_worker;
