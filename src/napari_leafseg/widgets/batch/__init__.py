"""The dock widget *Batch*."""
