"""Silences: times in which matches of some events notify nobody. They are evaluated and counted all the same."""
