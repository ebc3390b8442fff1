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
    from delever.data.references import Dataset as Dataset
    from delever.engine.settings import Account as Account
    from delever.engine.settings import FundingSeries as FundingSeries
    from delever.errors import DeleverError as DeleverError
    from delever.panel import Lifetime as Lifetime
    from delever.panel import Markets as Markets
    from delever.research.signal.study import StudyDesign as StudyDesign
    from delever.stats.metric import metric as metric
    from delever.study.data.checking import DataCheck as DataCheck
    from delever.study.data.checking import data_check as data_check
    from delever.study.data.checking import data_verify as data_verify
    from delever.study.data.datasets import DataList as DataList
    from delever.study.data.datasets import Imports as Imports
    from delever.study.data.datasets import data_list as data_list
    from delever.study.data.datasets import data_resample as data_resample
    from delever.study.data.datasets import export as export
    from delever.study.data.datasets import import_data as import_data
    from delever.study.data.fetching import Fetches as Fetches
    from delever.study.data.fetching import fetch as fetch
    from delever.study.data.fetching import import_brackets as import_brackets
    from delever.study.data.fetching import repair as repair
    from delever.study.data.mending import DataChange as DataChange
    from delever.study.data.mending import data_drop as data_drop
    from delever.study.data.mending import data_mend as data_mend
    from delever.study.data.mending import data_quarantine as data_quarantine
    from delever.study.data.mending import data_remove as data_remove
    from delever.study.data.mending import data_replace as data_replace
    from delever.study.data.mending import data_undo as data_undo
    from delever.study.inputs.market import load as load
    from delever.study.inputs.market import market as market
    from delever.study.kept.result import Result as Result
    from delever.study.ledger.tried import Trials as Trials
    from delever.study.ledger.tried import trials as trials
    from delever.study.portfolios.joint_markets import markets as markets
    from delever.study.research.check import Checked as Checked
    from delever.study.research.check import check as check
    from delever.study.research.claims import Audit as Audit
    from delever.study.research.claims import claims as claims
    from delever.study.research.event_report import EventReport as EventReport
    from delever.study.research.event_report import event_study as event_study
    from delever.study.research.period_report import Detection as Detection
    from delever.study.research.period_report import PeriodReport as PeriodReport
    from delever.study.research.period_report import detect as detect
    from delever.study.research.period_report import periods as periods
    from delever.study.research.signal_family import SignalFamily as SignalFamily
    from delever.study.research.signal_family import SignalPlan as SignalPlan
    from delever.study.research.signal_family import signal_family as signal_family
    from delever.study.research.signal_family import signal_plan as signal_plan
    from delever.study.research.signal_report import SignalReport as SignalReport
    from delever.study.research.signal_study import signal_study as signal_study
    from delever.study.research.state_report import StateReport as StateReport
    from delever.study.research.state_report import state as state
    from delever.study.results.kept_result import KeptResult as KeptResult
    from delever.study.results.kept_result import result as result
    from delever.study.results.unsealing import Looks as Looks
    from delever.study.results.unsealing import holdout as holdout
    from delever.study.results.unsealing import unseal as unseal
    from delever.study.results.verdict import Standing as Standing
    from delever.study.results.verdict import verdict as verdict
    from delever.study.runs.backtesting import backtest as backtest
    from delever.study.runs.compare import Comparison as Comparison
    from delever.study.runs.compare import compare as compare
    from delever.study.runs.measuring import measure as measure
    from delever.study.runs.quick_looks import Screen as Screen
    from delever.study.runs.quick_looks import Uncertainty as Uncertainty
    from delever.study.runs.quick_looks import screen as screen
    from delever.study.runs.quick_looks import uncertainty as uncertainty
    from delever.study.runs.run import Run as Run
    from delever.study.runs.run import run as run
    from delever.study.runs.screening import Engines as Engines
    from delever.study.runs.shelf import Runs as Runs
    from delever.study.runs.shelf import runs as runs
    from delever.study.sweeps.sweep import sweep as sweep
    from delever.study.sweeps.sweep_result import Sweep as Sweep
    from delever.study.sweeps.walk import WalkForward as WalkForward
    from delever.study.sweeps.walk import walk_forward as walk_forward
    from delever.study.workspaces.any_strategy import strategy as strategy
    from delever.study.workspaces.strategy import Strategy as Strategy
    from delever.study.workspaces.workspace import init as init
    from delever.venues.costs import Borrow as Borrow
    from delever.venues.costs import Costs as Costs
    from delever.venues.costs import Fee as Fee
    from delever.venues.costs import VenueFees as VenueFees
    from delever.venues.slippage import FixedSlippage as FixedSlippage
    from delever.venues.slippage import Impact as Impact
    from delever.venues.slippage import Slippage as Slippage
    from delever.venues.slippage import StressSlippage as StressSlippage
    from delever.venues.slippage import VolatilitySlippage as VolatilitySlippage
    from delever.view import MarketView as MarketView
    from delever.view import Price as Price
    from delever.view import Reading as Reading

__version__ = "0.1.0"

# Where each name is defined.
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
        "study.research.signal_report": "SignalReport",
        "study.research.signal_study": "signal_study",
        "study.research.state_report": "StateReport state",
        "study.workspaces.any_strategy": "strategy",
        "study.workspaces.strategy": "Strategy",
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

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``delever --help`` need not import pandas."""
    if name not in _HOME:
        raise AttributeError(f"module 'delever' has no attribute {name!r}")
    return getattr(import_module(f"delever.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
