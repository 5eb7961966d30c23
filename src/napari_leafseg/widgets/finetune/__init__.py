"""The dock widget *Fine-tune*."""
