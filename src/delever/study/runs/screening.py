"""The quick look at a spot run through vectorbt, and what its difference is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delever.bars import elapsed_years
from delever.engine.backtest import Backtest
from delever.engine.concordance import (
    AGREED,
    DEFAULT,
    EXACT,
    OURS,
    TOLD,
    Concordance,
    concordance,
)
from delever.report.figures.curves import growth_paths
from delever.report.figures.look import Chart
from delever.report.format import percent, points
from delever.report.page import block, render_page
from delever.report.pages.run_tables import engines_table, steps_table
from delever.stats.drawdowns import max_drawdown
from delever.stats.performance import sharpe_ratio
from delever.stats.returns import bar_returns, total_return
from delever.study.inputs.implausible import market_notes
from delever.study.kept.provenance import gather
from delever.study.kept.result import Result
from delever.study.runs.simulation import simulate_study
from delever.study.settings.portfolio_config import load_study
from delever.study.workspaces.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Engines(Result):
    """One spot run by three engines, and what sets vectorbt apart.

    Attributes
    ----------
    name : str
        Of the study or run.
    equities : pandas.DataFrame, shape (n, 5)
        Equity at each close, quote units, a column per engine.
    engines : pandas.DataFrame, shape (5, 4)
        By engine: ``total_return``, ``sharpe_ratio``, ``max_drawdown``, and ``apart``, the largest
        difference of its equity from this engine's in any bar, relative to that.
    steps : pandas.DataFrame, shape (3, 3)
        From vectorbt as it comes to this engine, by what is changed: ``points`` of total return it
        makes, and ``sharpe_ratio`` and ``max_drawdown`` likewise. Their sums are the differences.
    agrees : bool
        Whether exact decimals, and vectorbt once it is told the sizes, have this engine's equity in
        every bar; a short's liquidation is known to this engine and the decimals alone.
    notes : tuple of str
        What a reader must know.
    timeframe : str
        Of the bars.
    """

    name: str
    equities: pd.DataFrame
    engines: pd.DataFrame
    steps: pd.DataFrame
    agrees: bool
    notes: tuple[str, ...]
    timeframe: str

    @property
    def headline(self) -> str:
        """Total returns, the largest step between them, and whether the engines agree."""
        returns = self.engines["total_return"]
        largest = str(self.steps["points"].abs().idxmax())
        said = (
            f"{self.name}: total return {percent(returns[OURS])} by this engine, "
            f"{percent(returns[DEFAULT])} by vectorbt as it comes"
        )
        if self.steps["points"].abs().max() > AGREED:
            made = points(self.steps["points"][largest])
            said += f"; most of the difference: {largest} ({made} points)"
        exact, told = self.engines["apart"][[EXACT, TOLD]]
        if not self.agrees:
            return (
                f"{said}. The engines do not agree: exact decimals are {exact:.0e} of equity "
                f"apart, vectorbt told the sizes {told:.0e}."
            )
        if told > AGREED:
            return f"{said}. Exact decimals agree ({exact:.0e} of equity apart)."
        return f"{said}. Exact decimals and vectorbt, told the sizes, agree."

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The engines, and the steps between them."""
        return {"engines": self.engines, "steps": self.steps}

    @property
    def charts(self) -> dict[str, Chart]:
        """Growth by each engine."""
        grown = self.equities / self.equities[OURS].iloc[0]
        drawn = growth_paths({name: grown[name] for name in (OURS, DEFAULT)}, self.timeframe)
        return {"growth": replace(drawn, title="Growth by engine")}

    def html(self) -> str:
        """The page."""
        [drawn] = self.charts.values()
        return render_page(
            title=f"{self.name}: by several engines",
            name=self.name,
            headline=self.headline,
            notes=list(self.notes),
            blocks=[
                block("growth", drawn.title, drawn),
                block("engines", "By engine", engines_table(self.engines)),
                block("steps", "What sets vectorbt apart", steps_table(self.steps)),
            ],
        )


def screen_study(path: Path, overrides: Mapping[str, Any], *, workspace: Workspace) -> Engines:
    """Run a spot study by three engines; it counts as the trial that ``delever run`` makes of it.

    Raises what stands in the way of a run; InputError if it is no spot run at one fee and slippage.
    """
    study = load_study(path, overrides)
    inputs = gather(study, workspace)
    evaluation, _ = simulate_study(study, inputs, workspace, by="screen")
    return by_engines(study.name, evaluation.backtest, tuple(market_notes(inputs.market)))


def by_engines(name: str, done: Backtest, notes: tuple[str, ...]) -> Engines:
    """What three engines make of a run; raises as `delever.engine.concordance.concordance`."""
    found = concordance(done)
    rows = {engine: _measured(found, engine, done) for engine in found.equities}
    engines = pd.DataFrame.from_dict(rows, orient="index")
    changed = {
        step: engines.loc[after] - engines.loc[before]
        for step, (before, after) in found.steps.items()
    }
    steps = pd.DataFrame(changed).T.drop(columns="apart").rename(columns={"total_return": "points"})
    agrees = bool(engines["apart"][EXACT] <= AGREED and _told(engines, found))
    return Engines(
        name=name,
        equities=pd.DataFrame(found.equities),
        engines=engines,
        steps=steps,
        agrees=agrees,
        notes=(*_notes(found), *notes),
        timeframe=done.timeframe,
    )


def _told(engines: pd.DataFrame, found: Concordance) -> bool:
    return bool(found.forced) or bool(engines["apart"][TOLD] <= AGREED)


def _notes(found: Concordance) -> list[str]:
    out = [
        f"{DEFAULT} fills at the close of the bar that decides, which nobody is filled at who "
        "waits for it"
    ]
    if found.gapless:
        out.append("in these bars every open is the close before it, so both fills have one price")
    if found.forced:
        out.append("a short was liquidated, which vectorbt does not do: its account goes on")
    return out


def _measured(found: Concordance, engine: str, done: Backtest) -> dict[str, float]:
    equity = found.equities[engine]
    returns = bar_returns(equity, done.initial_equity)
    index = pd.DatetimeIndex(equity.index)
    yearly = len(index) / elapsed_years(index, done.timeframe)
    sound = bool((equity > 0.0).all())  # vectorbt's shorts may fall below nothing
    end = float(equity.iloc[-1]) / done.initial_equity - 1.0
    return {
        "total_return": total_return(returns) if sound else end,
        "sharpe_ratio": sharpe_ratio(returns, yearly) if sound else np.nan,
        "max_drawdown": max_drawdown(returns) if sound else np.nan,
        "apart": found.apart(engine),
    }
