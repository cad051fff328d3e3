"""The audit log: who changed what.

Output: pages of the log, for a tenant or for an operator. This package writes nothing: triggers of the managed tables insert into
audit_log in the transaction of the change. Invariant: there is no change without its entry, and no entry without its change.
"""
