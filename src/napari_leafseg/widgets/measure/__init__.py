"""The dock widget *Measure*."""
