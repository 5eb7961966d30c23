"""Whole experiments without the window: predict, measure and report thousands of images, and do it again."""
