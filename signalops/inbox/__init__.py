"""The inbox: events that wait to be processed, a batch per flush.

`read_batch` takes a batch out of the inbox, `signalops/processor.py` evaluates it, `record_batch` stores the results: one
transaction.
"""
