"""The dock widget *Segment*."""
