"""Credits: what a tenant has paid in advance or was granted; its invoices use it up.

Input: grants of the operator (signalops.grant_credit), and invoices that use credit or return it (signalops.burn_credits,
return_credits), in the transaction that issues or voids them. Output: the balance and its history. Writes: credit_grants,
credit_entries. Invariant: what remains of a grant is the sum of its entries, and never below zero.
"""
