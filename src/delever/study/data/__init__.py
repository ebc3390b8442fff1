"""Stored data as results."""
