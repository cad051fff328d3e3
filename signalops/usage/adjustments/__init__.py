"""Adjustments: corrections of usage by people, on record beside what was counted.

Comes in: a quantity with its reason and author, of an hour of the last backfill_days. Goes out: part of every quantity that is
read of that hour. Writes: usage_adjustments. Invariant: a closed period stays as it is; the open one bills what corrects it.
"""
