"""Prediction: images in, kept predictions out."""
