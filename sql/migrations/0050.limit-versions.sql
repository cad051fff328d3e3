-- Station rules: how many versions a tenant makes in a month has a limit, since each is kept for ever.
-- Stage: pre

-- Serves count-versions: those of the last days.
create index rule_versions_recent on signalops.rule_versions (tenant_id, created_at);
