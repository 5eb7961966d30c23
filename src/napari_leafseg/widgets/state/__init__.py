"""What the dock widgets of one viewer share."""
