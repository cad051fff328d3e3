"""Price plans: versions, assignments to tenants by day, and the arithmetic of prices."""
