"""Rules: which rules of the tenant match an event, and which notifications follow.

`rule_service` writes rules, whose patterns `signalops.patterns` compiles; `dry_run` tests them, `rule_cache` caches the compiled
rules, `evaluate` evaluates them for a batch of events. Writes: rules, rule_versions, ruleset_versions, silences, backtests;
through signalops.evaluate_stateful_rules and its sweeps also rule_states, window_events and digests. Invariant: a batch is
evaluated by the version of the rules that it names, or a later one.
"""
