"""The inbox: batches of events that wait for a job. A batch is taken out of it, and what came of its events is recorded.

`signalops/processor.py` decides about a batch in between, in one transaction.
"""
