"""Backtesting and signal research for the moments when leverage leaves a market.

Examples
--------
>>> import delever as dl
>>> market = dl.make_view("sample/ohlcv/BTC/USD/1d")
>>> run = dl.backtest(market, "ma200w_break", weeks=200)
>>> list(run.metrics.columns[:3])
['whole', 'inside', 'outside']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from delever.errors import DeleverError
    from delever.study.compare import Comparison, compare
    from delever.study.notebook import backtest, load, load_periods, make_view, run, strategy
    from delever.study.run import Run
    from delever.study.workspace import create as init
    from delever.venues.costs import Costs
    from delever.view import MarketView, Price

__version__ = "0.1.0"

__all__ = [
    "Comparison",
    "Costs",
    "DeleverError",
    "MarketView",
    "Price",
    "Run",
    "backtest",
    "compare",
    "init",
    "load",
    "load_periods",
    "make_view",
    "run",
    "strategy",
]

_HOME = {
    "Comparison": "study.compare",
    "Costs": "venues.costs",
    "DeleverError": "errors",
    "MarketView": "view",
    "Price": "view",
    "Run": "study.run",
    "backtest": "study.notebook",
    "compare": "study.compare",
    "init": "study.workspace:create",
    "load": "study.notebook",
    "load_periods": "study.notebook",
    "run": "study.notebook",
    "strategy": "study.notebook",
    "make_view": "study.notebook",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``delever --help`` need not import pandas."""
    if name not in _HOME:
        raise AttributeError(f"module 'delever' has no attribute {name!r}")
    module, _, attribute = _HOME[name].partition(":")
    return getattr(import_module(f"delever.{module}"), attribute or name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
