-- Least privilege: which role may do what. `signalops migrate` runs it whole, after the functions, in one transaction.

-- What a role no longer has below is taken back. A function that is not listed may be called by everybody, and acts as its caller.
revoke all on all tables in schema signalops, ops, procrastinate from signalops_api, signalops_worker, signalops_platform, signalops_operator;
revoke all on all functions in schema signalops, ops from signalops_api, signalops_worker, signalops_platform, signalops_operator;
grant execute on all functions in schema signalops, ops to public;
revoke execute on function ops.activity, ops.cancel_deliveries, ops.cancel_job, ops.discard_dead_letters, ops.drain_queue,
  ops.find_tenant, ops.measurements, ops.log_installation_action, ops.pause_queue, ops.queues, ops.require_reason, ops.require_ids,
  ops.resume_queue, ops.resume_tenant, ops.retry_deliveries, ops.retry_job, ops.retry_dead_letters, ops.suspend_tenant,
  signalops.add_adjustment, signalops.emit_and_enqueue, signalops.emit_invoice_event, signalops.start_absence_timer, signalops.reconcilable_range,
  signalops.begin_deletion, signalops.bind_secret, signalops.bump_meters_version, signalops.burn_credits, signalops.claim_deliveries,
  signalops.claim_delivery, signalops.close_circuits, signalops.alert_conditions, signalops.delete_rows, signalops.delete_slice,
  signalops.detach_partition, signalops.drop_detached, signalops.drop_jobs, signalops.enqueue, signalops.enqueue_backtest, signalops.enqueue_deletion,
  signalops.enqueue_deletions, signalops.enqueue_deliveries, signalops.enqueue_due_deliveries, signalops.enqueue_lost_batches,
  signalops.enqueue_lost_deliveries, signalops.expire, signalops.expire_credits, signalops.expired_partitions,
  signalops.find_called_channel, signalops.find_keys, signalops.find_tenant, signalops.finish_deletion, signalops.refuse_time_zone_change,
  signalops.reset_circuit, signalops.expire_rule_states, signalops.freeze_periods, signalops.grant_credit,
  signalops.apply_provider_status, signalops.lock_suspended_tenants, signalops.issue_invoice, signalops.global_retention_cutoff, signalops.limit_cardinality,
  signalops.log_row_change, signalops.log_rule_change, signalops.make_partitions, signalops.repair_schedules, signalops.log_tenant_action,
  signalops.record_barriers, signalops.record_key_uses, signalops.record_maintenance_run, signalops.periods_ready, signalops.current_plans,
  signalops.prune_jobs, signalops.requeue_events, signalops.enqueue_parked_backtests, signalops.unpark_events, signalops.unpark_rule_states,
  signalops.resume_tenants, signalops.return_credits, signalops.seal_period, signalops.secret_destination, signalops.park_events,
  signalops.settle_deliveries, signalops.settle_delivery, signalops.subscribe, signalops.subscribe_to_free, signalops.take_batch,
  signalops.fire_absences, signalops.emit_alert, signalops.flush_digests, signalops.version_limit, signalops.version_limited_meter,
  signalops.evaluate_alerts from public;

-- Schemas. The API has no rights in the queue: it enqueues through signalops.enqueue alone.
grant usage on schema signalops to signalops_api, signalops_worker, signalops_platform;
grant usage on schema ops to signalops_worker, signalops_operator, signalops_platform;
grant usage on schema procrastinate to signalops_worker;
grant usage on schema yoyo to signalops_api, signalops_worker;
grant select on all tables in schema yoyo to signalops_api, signalops_worker;
grant select, insert, update, delete on all tables in schema procrastinate to signalops_worker;
grant usage on all sequences in schema procrastinate to signalops_worker;

-- The HTTP processes, for one tenant at a time.
grant select on signalops.tenants, signalops.api_keys, signalops.batch_results, signalops.event_types, signalops.send_targets,
  signalops.deliveries, signalops.delivery_attempts, signalops.dead_letters, signalops.matches, signalops.rule_states,
  signalops.window_events, signalops.digests, signalops.meters, signalops.usage_counters, signalops.usage_entries,
  signalops.usage_distinct_values, signalops.usage_row_counts, signalops.limits, signalops.usage_adjustments, signalops.subscriptions,
  signalops.credit_grants, signalops.credit_entries, signalops.billing_periods, signalops.usage_daily, signalops.usage_hash_chain,
  signalops.invoices, signalops.invoice_lines, signalops.audit_log, signalops.retention_watermarks, signalops.event_status,
  signalops.limited_meters to signalops_api;
grant select, insert on signalops.events, signalops.idempotency_keys, signalops.inbox, signalops.replays, signalops.rule_versions
  to signalops_api;
grant select, insert, delete on signalops.suppressions to signalops_api;
grant select, insert, update on signalops.rate_buckets, signalops.channels, signalops.channel_schedules, signalops.rules,
  signalops.ruleset_versions, signalops.silences, signalops.accepted_counters to signalops_api;
grant select, insert, update, delete on signalops.event_schemas, signalops.backtests to signalops_api;
grant insert (tenant_id, id, prefix, hash, label, scopes, expires_at, allowed_cidrs, replaces, rate_per_second, rate_burst,
  digest, made_by), update (label, expires_at, allowed_cidrs, rate_per_second, rate_burst, revoked_at, digest)
  on signalops.api_keys to signalops_api;
grant update (rule_version, status, next_attempt_at, updated_at, attempts_at_reset) on signalops.deliveries to signalops_api;
grant update (resolved_at, resolution, reason) on signalops.dead_letters to signalops_api;
grant insert (tenant_id, key, first_version, name, aggregation, field, grammar, pattern, group_by, unit, allows_negative), update
  (ended_at) on signalops.meters to signalops_api;
grant execute on function signalops.add_adjustment, signalops.emit_and_enqueue, signalops.reconcilable_range, signalops.bump_meters_version,
  signalops.close_circuits, signalops.enqueue, signalops.enqueue_backtest, signalops.find_called_channel, signalops.find_keys,
  signalops.find_tenant, signalops.apply_provider_status, signalops.log_tenant_action, signalops.record_key_uses, signalops.secret_destination
  to signalops_api;

-- The job processes: what they process and send, and the queue.
grant select on signalops.tenants, signalops.inbox, signalops.replays, signalops.suppressions, signalops.rules,
  signalops.rule_versions, signalops.ruleset_versions, signalops.silences, signalops.meters, signalops.limits, signalops.accepted_counters,
  signalops.usage_adjustments, signalops.subscriptions, signalops.credit_grants, signalops.credit_entries,
  signalops.billing_periods, signalops.usage_daily, signalops.usage_hash_chain, signalops.invoices, signalops.invoice_lines,
  signalops.retention_watermarks, signalops.event_status, signalops.limited_meters to signalops_worker;
grant select, insert on signalops.events, signalops.delivery_attempts, signalops.matches, signalops.usage_entries,
  signalops.usage_distinct_values to signalops_worker;
grant select, update on signalops.channels, signalops.backtests to signalops_worker;
grant select, insert, delete on signalops.window_events to signalops_worker;
grant select, insert, update on signalops.batch_results, signalops.event_types, signalops.send_targets, signalops.channel_schedules,
  signalops.deliveries, signalops.dead_letters, signalops.rule_states, signalops.digests, signalops.usage_counters,
  signalops.usage_row_counts to signalops_worker;
grant update (ended_at) on signalops.meters to signalops_worker;
grant select (queue) on ops.paused_queues to signalops_worker;
grant execute on function signalops.emit_and_enqueue, signalops.reconcilable_range, signalops.bump_meters_version, signalops.burn_credits,
  signalops.claim_deliveries, signalops.claim_delivery, signalops.close_circuits, signalops.delete_slice, signalops.detach_partition, signalops.drop_detached,
  signalops.enqueue, signalops.enqueue_backtest, signalops.enqueue_deletions, signalops.enqueue_deliveries,
  signalops.enqueue_due_deliveries, signalops.enqueue_lost_batches, signalops.enqueue_lost_deliveries, signalops.expire,
  signalops.expire_credits, signalops.expired_partitions, signalops.finish_deletion, signalops.expire_rule_states,
  signalops.freeze_periods, signalops.lock_suspended_tenants, signalops.issue_invoice, signalops.global_retention_cutoff, signalops.limit_cardinality,
  signalops.make_partitions, signalops.repair_schedules, signalops.record_barriers, signalops.record_maintenance_run, signalops.periods_ready,
  signalops.prune_jobs, signalops.requeue_events, signalops.resume_tenants, signalops.seal_period, signalops.secret_destination,
  signalops.park_events, signalops.settle_deliveries, signalops.settle_delivery, signalops.take_batch, signalops.fire_absences,
  signalops.flush_digests, signalops.evaluate_alerts to signalops_worker;

-- The HTTP processes, for an operator.
grant select on signalops.tenant_deletions, signalops.accepted_counters, signalops.usage_adjustments, signalops.plans,
  signalops.subscriptions, signalops.credit_grants, signalops.credit_entries, signalops.invoices, signalops.invoice_lines,
  signalops.audit_log, signalops.retention_watermarks to signalops_platform;
grant select, insert, delete on signalops.limits to signalops_platform;
grant select (id, slug, name, status, created_at, time_zone, rate_per_second, rate_burst, status_reason, status_since,
  retention_days), insert (id, slug, name, time_zone), update (name, status, time_zone, rate_per_second, rate_burst,
  status_reason, retention_days) on signalops.tenants to signalops_platform;
grant select (tenant_id, id, prefix, label, scopes, created_at, expires_at, revoked_at, allowed_cidrs, replaces, last_used_at,
  rate_per_second, rate_burst, made_by), insert (tenant_id, id, prefix, hash, label, scopes, expires_at, allowed_cidrs, replaces,
  rate_per_second, rate_burst, digest, made_by), update (label, expires_at, allowed_cidrs, rate_per_second, rate_burst, revoked_at)
  on signalops.api_keys to signalops_platform;
grant select (tenant_id, key, first_version, name, aggregation, group_by, unit) on signalops.meters to signalops_platform;
grant update (soft, hard, thresholds, overage, set_at) on signalops.limits to signalops_platform;
grant insert (plan, version, grammar, document) on signalops.plans to signalops_platform;
grant update (voided_at, void_reason, voided_by) on signalops.invoices to signalops_platform;
grant execute on function ops.measurements, signalops.add_adjustment, signalops.emit_and_enqueue, signalops.emit_invoice_event,
  signalops.begin_deletion, signalops.burn_credits, signalops.grant_credit, signalops.issue_invoice, signalops.current_plans,
  signalops.return_credits, signalops.secret_destination, signalops.subscribe to signalops_platform;

-- People who run the installation: views of schema ops and its functions.
grant select on ops.actions, ops.alerts, ops.backtests, ops.sessions, ops.connections, ops.dead_letters, ops.deliveries, ops.delivery_health,
  ops.outlook,
  ops.inbox_by_tenant, ops.job_history, ops.locks, ops.partitions, ops.running_jobs, ops.workers, ops.queue_health,
  ops.slow_rules, ops.tables, ops.tenant_usage to signalops_operator;
grant execute on function ops.activity, ops.cancel_deliveries, ops.cancel_job, ops.discard_dead_letters, ops.drain_queue,
  ops.measurements, ops.pause_queue, ops.queues, ops.resume_queue, ops.resume_tenant, ops.retry_deliveries, ops.retry_job,
  ops.retry_dead_letters, ops.suspend_tenant, signalops.period_of, signalops.uuid7_floor, signalops.period_start, signalops.uuid7_time to
  signalops_operator;
