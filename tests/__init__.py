"""Tests against a real PostgreSQL: unit (pure), sql (truths of the database), station, handlers (real processes), chaos, docs."""
