"""Metrics of the processes and of the database, for Prometheus to scrape."""
