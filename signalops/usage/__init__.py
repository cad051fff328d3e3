"""Station 6, COUNT: what was processed, by meter and hour, and what it costs.

Comes in: what a batch counts, in the transaction that processes it (signalops.record_batch), and corrections by people. Goes out:
usage by window and group (`read`), all of it from one definition of a quantity, signalops.usage_by. Writes: usage_counters.
Invariant: usage equals the events taken out of the inbox and processed; each is counted once.
"""
