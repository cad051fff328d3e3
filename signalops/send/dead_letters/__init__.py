"""Dead letters: list, retry and discard deliveries and events that failed for good."""
