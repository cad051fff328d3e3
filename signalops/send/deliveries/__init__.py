"""Deliveries: list them, show their attempts, retry and cancel them."""
