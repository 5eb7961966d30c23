"""Whole experiments without the window: predict, measure and report thousands of pictures, and do it again."""
