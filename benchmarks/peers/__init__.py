"""Other methods, side by side: trained on the same plants for the same time, scored on the same images."""
