"""Deletion of tenants: removes a closed tenant with everything that is stored of it, and keeps the proof.

Input: an operator's request. Writes: tenant_deletions, deleted_numbers; deletes from every table with rows of tenants, as the
catalog lists them. Invariant: a finished deletion left nothing, counted in the transaction that removed the tenant itself; if a
worker dies, the next job continues.
"""
