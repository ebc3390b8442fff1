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

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from delever.data.references import Dataset
    from delever.engine.settings import Account, FundingSeries
    from delever.errors import DeleverError
    from delever.panel import Lifetime, Markets
    from delever.research.signal.study import StudyDesign
    from delever.stats.metric import metric
    from delever.study.backtesting import backtest
    from delever.study.check import Checked, check
    from delever.study.checking import DataCheck, data_check, data_verify
    from delever.study.claims import Audit, claims
    from delever.study.compare import Comparison, compare
    from delever.study.datasets import (
        DataList,
        Imports,
        data_list,
        data_resample,
        export,
        import_data,
    )
    from delever.study.event_report import EventReport, event_study
    from delever.study.fetching import Fetches, fetch, import_brackets, repair
    from delever.study.joint_markets import markets
    from delever.study.kept_result import KeptResult, result
    from delever.study.market import load, market
    from delever.study.measuring import measure
    from delever.study.mending import (
        DataChange,
        data_drop,
        data_mend,
        data_quarantine,
        data_remove,
        data_replace,
        data_undo,
    )
    from delever.study.period_report import Detection, PeriodReport, detect, periods
    from delever.study.quick_looks import Screen, Uncertainty, screen, uncertainty
    from delever.study.result import Result
    from delever.study.run import Run, run
    from delever.study.screening import Engines
    from delever.study.shelf import Runs, runs
    from delever.study.signal_family import SignalFamily, SignalPlan, signal_family, signal_plan
    from delever.study.signal_report import SignalReport, signal_study
    from delever.study.state_report import StateReport, state
    from delever.study.strategy import Strategy, strategy
    from delever.study.sweep import sweep
    from delever.study.sweep_result import Sweep
    from delever.study.tried import Trials, trials
    from delever.study.unsealing import Looks, holdout, unseal
    from delever.study.verdict import Standing, verdict
    from delever.study.walk import WalkForward, walk_forward
    from delever.study.workspace import init
    from delever.venues.costs import Borrow, Costs, Fee, VenueFees
    from delever.venues.slippage import (
        FixedSlippage,
        Impact,
        Slippage,
        StressSlippage,
        VolatilitySlippage,
    )
    from delever.view import MarketView, Price, Reading

__version__ = "0.1.0"

__all__ = [
    "Account",
    "Audit",
    "Borrow",
    "Checked",
    "Comparison",
    "Costs",
    "DataChange",
    "DataCheck",
    "DataList",
    "Dataset",
    "DeleverError",
    "Detection",
    "Engines",
    "EventReport",
    "Fee",
    "Fetches",
    "FixedSlippage",
    "FundingSeries",
    "Impact",
    "Imports",
    "KeptResult",
    "Lifetime",
    "Looks",
    "MarketView",
    "Markets",
    "PeriodReport",
    "Price",
    "Reading",
    "Result",
    "Run",
    "Runs",
    "Screen",
    "SignalFamily",
    "SignalPlan",
    "SignalReport",
    "Slippage",
    "Standing",
    "StateReport",
    "Strategy",
    "StressSlippage",
    "StudyDesign",
    "Sweep",
    "Trials",
    "Uncertainty",
    "VenueFees",
    "VolatilitySlippage",
    "WalkForward",
    "backtest",
    "check",
    "claims",
    "compare",
    "data_check",
    "data_drop",
    "data_list",
    "data_mend",
    "data_quarantine",
    "data_remove",
    "data_replace",
    "data_resample",
    "data_undo",
    "data_verify",
    "detect",
    "event_study",
    "export",
    "fetch",
    "holdout",
    "import_brackets",
    "import_data",
    "init",
    "load",
    "market",
    "markets",
    "measure",
    "metric",
    "periods",
    "repair",
    "result",
    "run",
    "runs",
    "screen",
    "signal_family",
    "signal_plan",
    "signal_study",
    "state",
    "strategy",
    "sweep",
    "trials",
    "uncertainty",
    "unseal",
    "verdict",
    "walk_forward",
]

# Where each name is defined; ``home:name`` where it has another name there.
_HOME = {
    name: home
    for home, names in {
        "data.references": "Dataset",
        "engine.settings": "Account FundingSeries",
        "errors": "DeleverError",
        "panel": "Lifetime Markets",
        "research.signal.study": "StudyDesign",
        "stats.metric": "metric",
        "study.backtesting": "backtest",
        "study.check": "Checked check",
        "study.checking": "DataCheck data_check data_verify",
        "study.claims": "Audit claims",
        "study.compare": "Comparison compare",
        "study.datasets": "DataList Imports data_list data_resample export import_data",
        "study.event_report": "EventReport event_study",
        "study.fetching": "Fetches fetch import_brackets repair",
        "study.joint_markets": "markets",
        "study.kept_result": "KeptResult result",
        "study.market": "load market",
        "study.measuring": "measure",
        "study.mending": "DataChange data_drop data_mend data_quarantine data_remove data_replace "
        "data_undo",
        "study.period_report": "Detection PeriodReport detect periods",
        "study.quick_looks": "Screen Uncertainty screen uncertainty",
        "study.result": "Result",
        "study.run": "Run run",
        "study.screening": "Engines",
        "study.shelf": "Runs runs",
        "study.signal_family": "SignalFamily SignalPlan signal_family signal_plan",
        "study.signal_report": "SignalReport signal_study",
        "study.state_report": "StateReport state",
        "study.strategy": "Strategy strategy",
        "study.sweep": "sweep",
        "study.tried": "Trials trials",
        "study.sweep_result": "Sweep",
        "study.unsealing": "Looks holdout unseal",
        "study.verdict": "Standing verdict",
        "study.walk": "WalkForward walk_forward",
        "study.workspace": "init",
        "venues.costs": "Borrow Costs Fee VenueFees",
        "venues.slippage": "FixedSlippage Impact Slippage StressSlippage VolatilitySlippage",
        "view": "MarketView Price Reading",
    }.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``delever --help`` need not import pandas."""
    if name not in _HOME:
        raise AttributeError(f"module 'delever' has no attribute {name!r}")
    module, _, attribute = _HOME[name].partition(":")
    return getattr(import_module(f"delever.{module}"), attribute or name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
