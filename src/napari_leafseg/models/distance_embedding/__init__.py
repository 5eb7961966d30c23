"""The distance + embedding network."""
