"""Invoices: closes billing periods, seals their figures and issues the invoices.

Input: the counters and adjustments of a period that has ended, and the terms of its plans. Output: invoices, credit notes,
operational events. Writes: billing_periods, usage_daily, usage_hash_chain, invoices, invoice_lines. Invariant: what is sealed
or issued never changes; a figure that arrives late is billed in the open period, and marked as late.
"""
