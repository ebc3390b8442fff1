"""What a study's TOML says."""
