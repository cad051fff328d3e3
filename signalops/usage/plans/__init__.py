"""What usage costs: plans in versions, which of them a tenant has from which day, and the arithmetic of prices."""
