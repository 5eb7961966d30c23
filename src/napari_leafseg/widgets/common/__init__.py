"""Controls that several dock widgets have; they know nothing of each other or of the session."""
