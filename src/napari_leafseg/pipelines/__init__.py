"""What the command line and the window do with images, from end to end."""
