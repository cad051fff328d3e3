"""Silences: time ranges in which matching events notify nobody. The events are evaluated and counted as usual."""
