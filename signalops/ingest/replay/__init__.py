"""Replays: put past events into the inbox again, to evaluate them by the current rules.

Input: a selection of events with a reason. Output: batches and their jobs, in one transaction with the row of `replays`.
Invariant: a replay is not billed and changes no event and no match; every delivery that it causes names it.
"""

from signalops.ingest.replay.start import start

__all__ = ["start"]
