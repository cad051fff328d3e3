"""SignalOps: events in, once; the tenant's rules decide; notifications out; usage counted. On nothing but Postgres.

Read the folders in the order of an event's path: access, ingest, queue, rules, send, usage, watch, web.
`journey.py` shows that path on one page.
"""
