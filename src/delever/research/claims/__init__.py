"""What was said about a market, and what the data say."""
