"""Station 6, COUNT: what was processed, by meter and day.

Comes in: the day counts of a batch, in the transaction that processes it (signalops.record_batch). Goes out: usage by period.
Writes: usage_counters. Invariant: usage equals the events taken out of the inbox and processed; each is counted once.
"""
