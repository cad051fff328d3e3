"""Credits: what a tenant has paid ahead or was given, burned down by its invoices.

Comes in: grants of the operator (signalops.grant_credit), and invoices that burn and return (signalops.burn_credits,
return_credits), in the transaction that issues or voids them. Goes out: the balance and its history. Writes: credit_grants,
credit_entries. Invariant: what remains of a grant is the sum of its entries, and never below zero.
"""
