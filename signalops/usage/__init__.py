"""Usage: what was processed, by meter and hour, and what it costs.

Input: what a batch counts, in the transaction that processes it (signalops.record_batch), and adjustments by people. Output:
usage by window and group (`usage_report`), based on one definition of a quantity, signalops.usage_by. Writes: usage_counters.
Invariant: usage equals the events that were taken out of the inbox and processed; each event is counted once.
"""
