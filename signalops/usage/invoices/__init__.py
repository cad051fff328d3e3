"""Invoices: billing periods are closed, each into sealed figures and the invoice that follows from them.

Comes in: the counters and adjustments of a period that has ended, and the terms of the plans that held in it. Goes out: invoices,
credit notes, operational events. Writes: billing_periods, usage_days, usage_seals, invoices, invoice_lines. Invariant: what is
sealed or issued never changes; a figure that comes late is billed in the open period, and says so.
"""
