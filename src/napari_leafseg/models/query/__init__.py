"""Query-based networks: a common interface, and four of them."""
