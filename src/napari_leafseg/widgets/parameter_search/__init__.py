"""The dock widget *Parameter search*."""
