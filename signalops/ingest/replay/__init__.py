"""Replays: puts past events into the inbox again, on request, to evaluate them by the current rules.

Input: a choice of events with a reason. Output: batches and their jobs, in one transaction with the row of `replays` that names
them. Invariant: a replay is not billed, changes no event and no match, and every delivery that it causes names it.
"""

from signalops.ingest.replay.start import start

__all__ = ["start"]
