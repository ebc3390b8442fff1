"""Several symbols in one account."""
