"""Deletion of tenants: removes a closed tenant with all of its rows, and keeps a proof.

Input: an operator's request. Writes: tenant_deletions, retired_invoice_numbers; deletes from every table with tenant rows, as the
catalogue lists them. Invariant: a finished deletion left no row, counted in the transaction that removed the tenant itself; if a
worker dies, the next job continues.
"""
