"""The networks, their checkpoints and the list of models."""

import os

# Threads of an idle OpenMP pool would spin and starve the window; this must be set before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
