"""Dead letters: list, retry and discard deliveries and events that were given up."""
