"""Dead letters as people take them in hand: listed, retried and discarded, one or many."""
