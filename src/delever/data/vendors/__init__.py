"""Other programs' and vendors' files: read into frames, written from data sets."""
