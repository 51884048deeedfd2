"""Plan and run a checked workflow."""
