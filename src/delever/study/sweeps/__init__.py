"""Many combinations of parameters."""
