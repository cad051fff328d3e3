"""The deletion of tenants: a closed one is removed with all that is stored of it, and the proof of that is kept.

Comes in: an operator's word. Goes out: nothing. Writes: tenant_deletions, deleted_numbers; removes from every table that the
catalogue knows to be a tenant's. Invariant: a deletion that is finished left nothing, counted in the transaction that removed the
tenant itself; whatever dies on the way, the next job goes on.
"""
