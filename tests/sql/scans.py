"""What a statement really reads: the indexes it scans and the tables it reads in whole, inside functions as well."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

# The counters of this transaction. A sequential scan counts for the table itself; of a table of a few pages it is no fault,
# and whether an index of it is used says nothing.
COUNTS = """
  select coalesce(p.relname, c.relname), c.relname, pg_stat_get_xact_numscans(c.oid)
  from pg_class c left join pg_inherits h on h.inhrelid = c.oid left join pg_class p on p.oid = h.inhparent
  left join pg_index i on i.indexrelid = c.oid
  where c.relnamespace = 'signalops'::regnamespace and c.relkind in ('r', 'i')
    and (pg_relation_size(coalesce(i.indrelid, c.oid)) >= 10 * 8192 or c.relkind = 'i' and h.inhparent is not null)
"""

Scans = dict[str, set[str]]


@contextmanager
def scanned(connection: psycopg.Connection) -> Iterator[Scans]:
    """Give a dictionary that holds at the end: name of a table or index (the parent's) -> partitions of it that were scanned."""
    seen: Scans = defaultdict(set)
    with connection.transaction(force_rollback=True):
        before = {name: count for _, name, count in connection.execute(COUNTS)}
        yield seen
        for parent, name, count in connection.execute(COUNTS).fetchall():
            if count > before.get(name, 0):
                seen[parent].add(name)
