"""Exactly-once, proven at every boundary: workers, connections and servers that end wherever they can."""
