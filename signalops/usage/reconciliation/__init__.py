"""Reconciliation: checks every figure of usage against the records it is made of, and traces a figure back to its events.

Input: all that usage has written, and the events. Output: differences, and the events behind an invoice line. Writes nothing.
Invariant: no figure is checked against itself, but against the records beneath it: events, entries, counters, sealed days, lines,
invoices. SQL compares what it can (signalops.reconcile, the view reconciliation_differences); `recount` and `reprice` do the
rest.
"""
