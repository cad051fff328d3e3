"""The audit log: who did what, by HTTP, command line and SQL."""
