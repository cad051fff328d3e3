"""Prices: versions of plans, which plan a tenant has from which day, and the arithmetic of prices."""
