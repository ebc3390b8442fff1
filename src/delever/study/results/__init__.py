"""What stands on stored results."""
