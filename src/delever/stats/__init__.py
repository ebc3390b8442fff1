"""Metrics of returns: one table, one formula each."""
