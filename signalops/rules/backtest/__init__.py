"""Backtests: what a rule would have matched and sent in the past, without sending anything."""
