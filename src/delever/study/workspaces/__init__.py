"""A researcher's folder: strategies and extensions, read as files that remember nothing."""
