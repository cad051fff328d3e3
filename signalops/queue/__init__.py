"""Station 3, HAND OVER: the procrastinate App, what a job is (`signalops/jobs.py` lists them), retry and rescue.

Comes in: rows of procrastinate_jobs, enqueued in the transactions of other stations. Goes out: calls of `journey`.
Writes: procrastinate's tables. Invariant: a job's arguments are ids; a job may run twice; nothing is scheduled for later
in the job table, since every fetch would have to step over it.
"""
