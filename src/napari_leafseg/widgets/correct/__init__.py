"""The dock widget *Correct*."""
