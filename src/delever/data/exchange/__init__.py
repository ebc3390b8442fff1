"""Market history from exchanges, complete or said to be otherwise; only this room knows ccxt."""
