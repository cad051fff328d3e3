"""Silences: times in which matches of some events notify nobody. The events are evaluated and counted all the same."""
