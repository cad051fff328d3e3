"""Replays: past events are put into the inbox anew, on purpose, to be held against the rules as they are now.

It stands in ingest, since the inbox is ingest's. In comes a choice of events with a reason; out go batches and their jobs,
in one transaction with the row of `replays` that names them. Invariant: a replay is billed nothing, leaves events and
matches as they are, and every delivery that it brings about names it.
"""

from signalops.ingest.replay.start import start

__all__ = ["start"]
