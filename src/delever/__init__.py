"""Backtesting and signal research for the moments when leverage leaves a market.

Examples
--------
>>> import delever as dl
>>> market = dl.market("sample/ohlcv/BTC/USD/1d")
>>> run = dl.backtest(market, "ma200w_break", weeks=200)
>>> list(run.metrics.columns[:3])
['whole', 'inside', 'outside']
"""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_FACE = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))

# Where each name is defined.
_HOME = {
    each.name: node.module
    for node in _FACE.body
    if isinstance(node, ast.ImportFrom)
    for each in node.names
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``delever --help`` need not import pandas."""
    if name not in _HOME:
        raise AttributeError(f"module 'delever' has no attribute {name!r}")
    return getattr(import_module(str(_HOME[name])), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
