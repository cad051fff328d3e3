"""The proof: every figure of usage held against what it is made of, and the way from a figure to its events.

Comes in: what all of usage has written, and the events. Goes out: differences, and the events behind an invoice line. Writes
nothing. Invariant: no figure vouches for itself; each is held against the records beneath it: events, entries, counters,
sealed days, lines, invoices. What SQL can say it says (signalops.audit, the view audit_differences); `recount` and
`reprice` do the rest.
"""
