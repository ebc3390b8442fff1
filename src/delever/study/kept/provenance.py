"""What a run is made from: everything a study names, loaded, and described by hash."""

from __future__ import annotations

import datetime as dt
import hashlib
import inspect
import json
import math
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from delever.data.references import Dataset
from delever.deleveraging.period import Period, load_catalog
from delever.engine.backtest import Backtest
from delever.engine.portfolio import PortfolioBacktest
from delever.engine.settings import Account
from delever.engine.terms import dated_rules
from delever.errors import ConfigError
from delever.research.evaluation import Evaluation
from delever.research.what_if import WhatIf
from delever.stats.metrics import Metric
from delever.study.inputs.belonging import belonging
from delever.study.inputs.market import early_series, span_notes, view
from delever.study.settings.config import Study
from delever.study.workspaces.extensions import Extensions
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs, VenueFees
from delever.venues.rules import EVERY_SYMBOL, Dated, Rulebook
from delever.view import MarketView

_NUMERIC = ("delever", "numpy", "pandas", "numba", "ta")


_ACCOUNT = ("account", "costs", "costs_times", "initial_equity", "legs", "margin", "portfolio")
"""What a study says of its account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything a study names, loaded."""

    data: Dataset
    warmup: Dataset | None
    series: dict[str, Dataset]
    strategy: Strategy
    benchmark: Strategy
    params: dict[str, Any]
    account: Account | None  # with everything it names loaded
    account_data: Mapping[str, Dataset]  # behind its funding, mark and detail
    periods: tuple[Period, ...]
    periods_sha256: str
    extensions: Extensions

    @property
    def market(self) -> MarketView:
        """The market as the strategy sees it."""
        return view(self.data, warmup=self.warmup, series=self.series)

    def strategies(self, study: Study) -> dict[str, Strategy]:
        """Strategy and benchmark as the study names them."""
        return {study.strategy: self.strategy, study.benchmark: self.benchmark}

    @property
    def datasets(self) -> list[Dataset]:
        """All data that are read."""
        warmup = [] if self.warmup is None else [self.warmup]
        return [self.data, *warmup, *self.series.values(), *self.account_data.values()]

    def manifest(self, study: Study) -> dict[str, Any]:
        """The inputs by hash, and the hash over all of them."""
        made_from: dict[str, Any] = {
            "study": study.model_dump(mode="json", exclude={"sweep"}),
            "params": self.params,
            "account": self._account(),
            "data": described(self.data),
            "warmup": described(self.warmup) if self.warmup else None,
            "series": {name: described(data) for name, data in sorted(self.series.items())},
            "strategy": {"name": self.strategy.name, "sha256": self.strategy.sha256},
            "benchmark": {"name": self.benchmark.name, "sha256": self.benchmark.sha256},
            "periods_sha256": self.periods_sha256,
        }
        return identified(made_from, self.extensions)

    def _account(self) -> dict[str, Any] | None:
        if self.account is None:
            return None
        rules = self.account.rules
        return {
            "rules_sha256": rules.sha256 if isinstance(rules, Rulebook) else None,
            "data": {name: described(data) for name, data in sorted(self.account_data.items())},
        }


def gather(study: Study, workspace: Workspace) -> Inputs:
    """Load everything a study names.

    Raises ConfigError, NotStoredError or StrategyError if something it names is not there or not as
    it must be.
    """
    catalog = workspace.catalog
    strategy = workspace.strategy(study.strategy)
    benchmark = workspace.strategy(study.benchmark)
    periods = gather_periods(study, workspace)
    data = catalog.load(study.data)
    series = {name: catalog.load(reference) for name, reference in study.series.items()}
    account, account_data = workspace.account(study.account)
    notes = early_series(series, workspace.root / "data" / "sources.toml")
    notes += span_notes(
        data.frame, data.reference.timeframe, start=study.start_time, end=study.end_time
    )
    notes += belonging(data.reference.symbol, account, account_data, series)
    return Inputs(
        data=replace(data, notes=data.notes + notes),
        warmup=catalog.load(study.warmup) if study.warmup is not None else None,
        series=series,
        strategy=strategy,
        benchmark=benchmark,
        params=strategy.bind(study.params),
        account=account,
        account_data=account_data,
        **periods,
        extensions=workspace.extensions,
    )


def gather_periods(study: Study, workspace: Workspace) -> dict[str, Any]:
    """The catalogue of periods that a study names, and its hash.

    Raises ConfigError if there is none.
    """
    path = workspace.root / study.periods
    if not path.is_file():
        raise ConfigError(f"periods must name a catalogue file; there is none at {path}")
    return {"periods": load_catalog(path), "periods_sha256": file_sha256(path)}


def canonical_json(value: object) -> str:
    """One text per value: sorted keys, shortest exact floats, NaN refused."""
    return json.dumps(value, sort_keys=True, indent=2, allow_nan=False, default=str) + "\n"


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def code_sha256() -> str:
    """Hash of the package's own source: no result outlives the code that made it."""
    package = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in {".py", ".j2", ".html", ".css", ".js"} and "_workspace" not in path.parts:
            digest.update(f"{path.relative_to(package).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def metric_sha256(metric: Metric) -> str:
    """Hash of what a metric is made of, its source where there is one."""
    parts = [metric.name, metric.formula, *metric.scopes]
    for function in (metric.compute, metric.from_sums):
        if function is not None:
            inner = inspect.unwrap(function)
            try:
                parts.append(inspect.getsource(inner))
            except (OSError, TypeError):
                code = getattr(inner, "__code__", None)
                parts.append(code.co_code.hex() if code else repr(inner))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def outcome(evaluation: Evaluation, found: WhatIf) -> dict[str, Any]:
    """What a manifest says of a run beside its inputs."""
    start, end = evaluation.span
    return {
        "span": {"start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end": f"{end:%Y-%m-%dT%H:%M:%SZ}"},
        "bars": len(evaluation.bars),
        "undecided": evaluation.undecided,
        "simulation": describe_simulation(evaluation),
        "refused_counterfactuals": dict(found.refused),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of everything that can change a number."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in _NUMERIC}


def describe_simulation(evaluation: Evaluation) -> dict[str, Any]:
    """What the tables of a run do not say: costs, initial equity, what the engine did not know."""

    def said(run: Backtest) -> dict[str, Any]:
        return {
            "timeframe": run.timeframe,
            "initial_equity": run.initial_equity,
            "costs": cost_facts(run.costs),
            "pending_target": run.pending_target,
            "fidelity": list(run.fidelity),
            "ambiguous_bars": run.ambiguous_bars,
            "margin": run.margin.mode if isinstance(run, PortfolioBacktest) else None,
            "counted": dict(run.margin.counted or {}) if isinstance(run, PortfolioBacktest) else {},
            "rules": _rules_in_force(run),
        }

    return {"backtest": said(evaluation.backtest), "benchmark": said(evaluation.benchmark)}


def cost_facts(costs: Costs) -> dict[str, Any]:
    """Costs as fractions, and the models beside them as text."""
    names = ("maker_fee", "taker_fee", "slippage", "liquidity")
    models = [repr(part) for part in costs.parts if not isinstance(part, VenueFees)]
    return {name: getattr(costs, name) for name in names} | ({"models": models} if models else {})


def _rules_in_force(run: Backtest) -> list[dict[str, Any]]:
    """Fees and brackets of a margin account, one entry per change; empty without a rulebook."""
    if run.account is None or not isinstance(run.account.rules, Rulebook):
        return []
    index = pd.DatetimeIndex(run.ledger.index)
    book, first = run.account.rules, index[0].date()
    out = []
    for held in dated_rules(run.account, index):
        symbol, day = held.contract.symbol, max(first, held.valid_from)
        listing = book.listings.get(symbol) or book.listings[EVERY_SYMBOL]
        out.append(
            {
                "from": f"{day}",
                "fees_since": _since(listing.fees, day),
                "brackets_since": _since(listing.margin, day),
                "taker": held.fees.taker,
                "maker": held.fees.maker,
                "liquidation": held.fees.liquidation,
                "brackets": [
                    [
                        one.cap if math.isfinite(one.cap) else None,
                        one.maintenance_margin_rate,
                        one.max_leverage,
                    ]
                    for one in held.brackets
                ],
            }
        )
    return out


def _since(rows: Sequence[Dated[Any]], day: dt.date) -> str | None:
    """First day of the row in force; None where a later one was assumed."""
    begun = [row.valid_from for row in rows if row.valid_from <= day]
    return f"{max(begun)}" if begun else None


def git_state(root: Path) -> dict[str, Any]:
    """Commit of the workspace and whether its files differ from it; None where there is no git."""

    def ask(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = ask("status", "--porcelain")
    return {"sha": ask("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


def described(data: Dataset) -> dict[str, Any]:
    """Reference, content hash, span and gaps of a data set."""
    index = data.frame.index
    return {
        "reference": str(data.reference),
        "sha256": data.id,
        "rows": len(index),
        "start": f"{index[0]:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{index[-1]:%Y-%m-%dT%H:%M:%SZ}",
        "publication_lag": str(data.publication_lag),
        "gaps": len(data.gaps) if data.reference.kind == "ohlcv" else None,
        "notes": list(data.notes),
    }


def identified(made_from: Mapping[str, Any], extensions: Extensions) -> dict[str, Any]:
    """A manifest of what a run is made from: with the code that makes it, and the id of it all."""
    whole = {**made_from, "code_sha256": code_sha256(), "versions": versions()}
    if extensions.sources:
        whole["extensions"] = dict(extensions.sources)
    return {"run_id": run_id(whole), **whole}


def account_asked(study: Mapping[str, Any]) -> str:
    """Hash of what a study says of its account: settings, costs, how symbols share it."""
    return run_id({name: study[name] for name in _ACCOUNT if name in study})


def run_id(inputs: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that stand for every input of a run."""
    return hashlib.sha256(canonical_json(inputs).encode()).hexdigest()[:12]
