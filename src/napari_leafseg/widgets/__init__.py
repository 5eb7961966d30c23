"""The dock widgets: the only room that knows napari, Qt or magicgui."""
