"""What a backtest, a strategy or a signal is worth, and whether it peeks."""
