"""The event-pattern language (README.md): decides whether an event matches a pattern, and explains why. No database, no HTTP.

Input: a pattern as JSON, in the current or an earlier grammar. Output: a Pattern; a RuleSet returns the keys of the patterns that
match an event. Grouping and Measured read an event's fields as patterns do. Invariant: a RuleSet decides as each of its patterns
alone would, and a pattern that can't be evaluated is never compiled.
"""

from signalops.patterns.budget import MAX_STEPS, MAX_VALUES, Budget, TooCostly
from signalops.patterns.compiled_cache import cache_of_compiled
from signalops.patterns.errors import PatternError
from signalops.patterns.examples import run_cases
from signalops.patterns.explain import Explanation, LeafShown, explain
from signalops.patterns.fields import FieldPath, GroupBy, flattened
from signalops.patterns.groups import Fields, Group, Grouping, Measured, canonical
from signalops.patterns.pattern import LeafExplanation, Pattern, compile_pattern
from signalops.patterns.ruleset import RuleSet
from signalops.patterns.text import read_json
from signalops.patterns.upgrade import CURRENT_GRAMMAR, UPGRADERS, upgrade

__all__ = [
    "CURRENT_GRAMMAR",
    "MAX_STEPS",
    "MAX_VALUES",
    "UPGRADERS",
    "Budget",
    "Explanation",
    "FieldPath",
    "Fields",
    "Group",
    "GroupBy",
    "Grouping",
    "LeafExplanation",
    "LeafShown",
    "Measured",
    "Pattern",
    "PatternError",
    "RuleSet",
    "TooCostly",
    "cache_of_compiled",
    "canonical",
    "compile_pattern",
    "explain",
    "flattened",
    "read_json",
    "run_cases",
    "upgrade",
]
