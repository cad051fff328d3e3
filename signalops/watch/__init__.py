"""Observability and maintenance: event traces, health, diagnosis, metrics, alerts, audit log, retention.

Input: questions of operators and tenants. Output: the path of one event, health, a diagnosis. Retention is the only part that
writes.
"""
