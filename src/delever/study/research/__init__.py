"""Signals, claims, states, periods and proofs as results."""
