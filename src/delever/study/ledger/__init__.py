"""Every trial, counted per market."""
