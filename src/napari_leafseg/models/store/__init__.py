"""Model files: checkpoints, their cards, and the lists of models."""
