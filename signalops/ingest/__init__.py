"""Station 2, TAKE IN: an event is validated, counted against the month's limit, stored once and handed to the queue.

Comes in: the body of a request, and who sent it. Goes out: the event's id, after the commit.
Writes: events, idempotency_keys, quotas, inbox, and one job per flush (all through the SQL function signalops.accept); replays;
event_types and event_schemas.
Invariant: what was answered with 202 is stored exactly once, has a row in the inbox and is in the reach of a job.
"""
