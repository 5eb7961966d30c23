"""The one window of all steps: tabs, the list of images beside them, and the dialogs."""
