"""Truths of the database itself: what the catalogue says, what a role can see, what a migration leaves, what a plan uses."""
