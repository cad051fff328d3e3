"""Station 4, DECIDE: which of the tenant's rules does an event match, and what follows from it?

`manage` writes rules, whose patterns `signalops.patterns` compiles; `preview` tries them, `book` loads and keeps them compiled,
`decide` holds a batch of events against them.
Writes: rules, rule_versions, rulesets, silences, backtests; by signalops.weigh and its sweeps also rule_groups, window_events and
digests. Invariant: a batch is held against the version of the rules that it names, or a later one.
"""
