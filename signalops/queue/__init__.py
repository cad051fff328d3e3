"""The queue: the procrastinate App, what a job is (`signalops/jobs.py` lists them), retry and rescue.

Input: rows of procrastinate_jobs, enqueued in the transactions of other packages. Output: calls of `job_handlers`.
Writes: procrastinate's tables. Invariant: a job's arguments are ids; a job may run twice; no job is scheduled for later, because
every fetch would have to skip it.
"""
