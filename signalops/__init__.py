"""SignalOps: store each event once, evaluate the tenant's rules, notify, count usage. On nothing but PostgreSQL.

`signalops/README.md` shows the path of an event through these packages.
"""
