"""Station 4, DECIDE: which of the tenant's rules does an event match, and why (not)?

Pure, without database or HTTP, are the event-pattern language (README.md), its validation, the upgrade of rules in
earlier grammars, and the indexed set of rules: a pattern comes in as JSON and leaves as a Pattern; an event and a RuleSet
give the keys of the rules that match. `manage` writes rules, `preview` tries them, `book` loads and keeps them compiled.
Writes: rules, rule_versions, rulesets, silences, backtests; by signalops.weigh and its sweeps also rule_groups, window_events and
digests. Invariant: a RuleSet decides as each of its patterns would alone, and what can't
be evaluated never becomes a Pattern.
"""

from signalops.rules.cases import run_cases
from signalops.rules.faults import PatternError
from signalops.rules.pattern import LeafExplanation, Pattern, compile_pattern
from signalops.rules.ruleset import RuleSet
from signalops.rules.text import read_json
from signalops.rules.upgrade import CURRENT_GRAMMAR, UPGRADERS, upgrade

__all__ = [
    "CURRENT_GRAMMAR",
    "UPGRADERS",
    "LeafExplanation",
    "Pattern",
    "PatternError",
    "RuleSet",
    "compile_pattern",
    "read_json",
    "run_cases",
    "upgrade",
]
