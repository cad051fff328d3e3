"""Tests against a real PostgreSQL: unit (pure), sql (truths of the database), station, journey (real processes), chaos, docs."""
