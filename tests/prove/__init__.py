"""Faults in real processes, and the one checker of what must be true after any of them."""
