"""Actions: who did what to what people manage.

Comes in: a question about the audit log. Goes out: pages of it, for a tenant or for an operator. Writes: nothing; triggers of the
managed tables add to audit_log, in the transaction of the change. Invariant: no change without its action, nor the reverse.
"""
