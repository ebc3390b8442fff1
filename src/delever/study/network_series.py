"""What the bitcoin network pays and what mining takes, from the workspace's own file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from delever.signals.network import load_network
from delever.view import MarketView

__all__ = ["BITCOIN", "with_network"]

BITCOIN = ("BTC", "XBT")
"""What a bitcoin market is called before the slash."""


def with_network(market: MarketView, root: Path) -> MarketView:
    """A bitcoin market with the readings of ``data/bitcoin.toml`` beside its own."""
    path = root / "data" / "bitcoin.toml"
    if market.symbol.partition("/")[0] not in BITCOIN or not path.is_file():
        return market
    return replace(market, readings={**load_network(path), **market.readings})
