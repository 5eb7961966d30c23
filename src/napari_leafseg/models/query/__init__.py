"""Query-based networks: a common interface, and six of them."""
