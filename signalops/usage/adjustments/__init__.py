"""Adjustments: corrections of usage by people, stored beside what was counted.

Input: a quantity with its reason and author, for an hour of the last backfill_days. Output: part of every quantity of that hour.
Writes: usage_adjustments. Invariant: a closed period does not change; the open period bills what corrects it.
"""
