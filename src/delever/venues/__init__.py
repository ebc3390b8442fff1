"""Scalar venue arithmetic: costs and sizes, no frames."""
