-- The migrator's own records: which releases the database serves, and which definitions were applied to it.
-- Stage: pre

create table yoyo.stages (
  migration_id text primary key,
  stage text not null constraint stages_stage_check check (stage in ('pre', 'post'))
);
comment on table yoyo.stages is 'Of each migration that was applied: pre, the release before runs on; post, it took away what that needs.';
comment on column yoyo.stages.migration_id is 'As in yoyo._yoyo_migration.';
comment on column yoyo.stages.stage is 'As the file says it.';

create table yoyo.definition_sets (
  checksum text primary key,
  applied_at timestamptz not null default now()
);
comment on table yoyo.definition_sets is
  'The sets of definitions (sql/functions/ and sql/grants.sql as a whole) whose processes the database serves.';
comment on column yoyo.definition_sets.checksum is 'SHA-256 of all statements of a release.';
comment on column yoyo.definition_sets.applied_at is 'When it was applied first.';

create table yoyo.definition_statements (
  checksum text primary key
);
comment on table yoyo.definition_statements is 'The statements of sql/functions/ that are applied: they do not run again.';
comment on column yoyo.definition_statements.checksum is 'SHA-256 of the statement.';

create table yoyo.definitions (
  object text primary key,
  checksum text not null
);
comment on table yoyo.definitions is 'What the statements made, as the database prints it: `signalops doctor` compares.';
comment on column yoyo.definitions.object is 'Its kind and name, such as view ops.workers.';
comment on column yoyo.definitions.checksum is 'MD5 of its definition and grants.';
