"""The dock widget *Images*."""
