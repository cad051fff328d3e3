-- The migrator: every release needs exactly its own migrations.

drop table yoyo.stages;
