"""Research: evaluations, counterfactuals, signal and event studies, claims, look-ahead checks."""
