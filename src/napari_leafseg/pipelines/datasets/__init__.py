"""Data sets that others published: read in their own layouts, made labeled folders of ours, and scored on."""
