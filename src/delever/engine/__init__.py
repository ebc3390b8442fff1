"""From exposures to equity: the engine."""
