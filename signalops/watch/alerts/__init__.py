"""Alerts without other systems: what an operator must know becomes an event of a tenant of the operators' own.

Comes in: what the database knows of itself (signalops.conditions). Goes out: events `signalops.alert.raised` and
`signalops.alert.resolved`, for rules and channels like any other. Writes: alerts, and the events.
Invariant: each crossing is told once, and once more when it is over; what was told and that it was are one transaction.
"""

from signalops.watch.alerts.watch import note_run as note_run
from signalops.watch.alerts.watch import open_alerts as open_alerts
from signalops.watch.alerts.watch import watch as watch
