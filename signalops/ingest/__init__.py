"""Ingest: validates an event, counts it against the month's limit, stores it once and enqueues its job.

Input: the body of a request, and its caller. Output: the event's id, after the commit.
Writes: events, idempotency_keys, accepted_counters, inbox, and one job per flush (all in the SQL function signalops.accept);
replays; event_types and event_schemas.
Invariant: an event that was answered with 202 is stored exactly once, has a row in the inbox, and has a job or gets one.
"""
