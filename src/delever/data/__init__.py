"""Files in, the store, the catalogue of data sets."""
