"""From prices to conditions to exposures."""
