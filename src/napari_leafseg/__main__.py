"""Runs the command line: ``python -m napari_leafseg``."""

from napari_leafseg.cli import main

if __name__ == "__main__":  # processes of a batch import this file again
    main()
