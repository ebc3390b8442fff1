"""Processes and clusters that work for one client."""
