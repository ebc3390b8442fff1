"""Deleveraging periods: drawn with hindsight, or detected causally."""
