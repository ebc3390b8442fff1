"""Results, their folders and where they come from."""
