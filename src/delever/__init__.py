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
    from delever.study.data.checking import DataCheck, data_check, data_verify
    from delever.study.data.datasets import (
        DataList,
        Imports,
        data_list,
        data_resample,
        export,
        import_data,
    )
    from delever.study.data.fetching import Fetches, fetch, import_brackets, repair
    from delever.study.data.mending import (
        DataChange,
        data_drop,
        data_mend,
        data_quarantine,
        data_remove,
        data_replace,
        data_undo,
    )
    from delever.study.inputs.market import load, market
    from delever.study.kept.result import Result
    from delever.study.ledger.tried import Trials, trials
    from delever.study.portfolios.joint_markets import markets
    from delever.study.research.check import Checked, check
    from delever.study.research.claims import Audit, claims
    from delever.study.research.event_report import EventReport, event_study
    from delever.study.research.period_report import Detection, PeriodReport, detect, periods
    from delever.study.research.signal_family import (
        SignalFamily,
        SignalPlan,
        signal_family,
        signal_plan,
    )
    from delever.study.research.signal_report import SignalReport, signal_study
    from delever.study.research.state_report import StateReport, state
    from delever.study.results.kept_result import KeptResult, result
    from delever.study.results.unsealing import Looks, holdout, unseal
    from delever.study.results.verdict import Standing, verdict
    from delever.study.runs.backtesting import backtest
    from delever.study.runs.compare import Comparison, compare
    from delever.study.runs.measuring import measure
    from delever.study.runs.quick_looks import Screen, Uncertainty, screen, uncertainty
    from delever.study.runs.run import Run, run
    from delever.study.runs.screening import Engines
    from delever.study.runs.shelf import Runs, runs
    from delever.study.sweeps.sweep import sweep
    from delever.study.sweeps.sweep_result import Sweep
    from delever.study.sweeps.walk import WalkForward, walk_forward
    from delever.study.workspaces.strategy import Strategy, strategy
    from delever.study.workspaces.workspace import init
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
        "study.runs.backtesting": "backtest",
        "study.research.check": "Checked check",
        "study.data.checking": "DataCheck data_check data_verify",
        "study.research.claims": "Audit claims",
        "study.runs.compare": "Comparison compare",
        "study.data.datasets": "DataList Imports data_list data_resample export import_data",
        "study.research.event_report": "EventReport event_study",
        "study.data.fetching": "Fetches fetch import_brackets repair",
        "study.portfolios.joint_markets": "markets",
        "study.results.kept_result": "KeptResult result",
        "study.inputs.market": "load market",
        "study.runs.measuring": "measure",
        "study.data.mending": "DataChange data_drop data_mend data_quarantine data_remove "
        "data_replace data_undo",
        "study.research.period_report": "Detection PeriodReport detect periods",
        "study.runs.quick_looks": "Screen Uncertainty screen uncertainty",
        "study.kept.result": "Result",
        "study.runs.run": "Run run",
        "study.runs.screening": "Engines",
        "study.runs.shelf": "Runs runs",
        "study.research.signal_family": "SignalFamily SignalPlan signal_family signal_plan",
        "study.research.signal_report": "SignalReport signal_study",
        "study.research.state_report": "StateReport state",
        "study.workspaces.strategy": "Strategy strategy",
        "study.sweeps.sweep": "sweep",
        "study.ledger.tried": "Trials trials",
        "study.sweeps.sweep_result": "Sweep",
        "study.results.unsealing": "Looks holdout unseal",
        "study.results.verdict": "Standing verdict",
        "study.sweeps.walk": "WalkForward walk_forward",
        "study.workspaces.workspace": "init",
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
