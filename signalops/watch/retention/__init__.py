"""What nobody needs any more goes: partitions as a whole, rows of tenants that keep less, jobs that ended long ago.

Comes in: the settings of the installation, plans and tenants. Goes out: what was removed.
Invariant: nothing goes that waits, is still to be sent, or belongs to a billing period that is not closed; and nobody who writes
waits for a removal.
"""

from signalops.watch.retention.run import Retainer as Retainer
from signalops.watch.retention.run import Retention as Retention
