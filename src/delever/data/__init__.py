"""Data sets: how rows come in, where they are kept, and how they come out."""
