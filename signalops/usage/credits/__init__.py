"""Credits: prepaid or granted amounts that invoices burn down.

Input: grants of the operator (signalops.grant_credit), and invoices that use credit or return it (signalops.burn_credits,
return_credits), in the transaction that issues or voids them. Output: the balance and its history. Writes: credit_grants,
credit_entries. Invariant: the remaining amount of a grant is the sum of its entries, and never negative.
"""
