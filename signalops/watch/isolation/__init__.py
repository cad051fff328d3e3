"""The proof that tenants can't see each other, by doing: whatever the catalogue lists is tried in the roles of the processes.

Not covered: what the planner and the server tell of tables as a whole (estimates of EXPLAIN, pg_class.reltuples), which only
who writes SQL can ask, and no tenant does.
"""

from signalops.watch.isolation.model import Finding
from signalops.watch.isolation.run import check

__all__ = ["Finding", "check"]
