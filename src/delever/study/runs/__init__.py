"""One strategy on one market."""
