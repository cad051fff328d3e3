"""A rule held against the past: what it would have matched and told, without telling anyone."""
