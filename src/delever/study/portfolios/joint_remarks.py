"""What a reader must know before believing the numbers of a run of several symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from delever.arguments import counted
from delever.engine.portfolio import PortfolioBacktest
from delever.panel import PATIENCE, Lifetime, Markets
from delever.report.format import percent, price, when
from delever.research.evaluation import Evaluation
from delever.study.runs.remarks import hidden, noted

_NAMED = 3


def joint_remarks(
    evaluation: Evaluation,
    markets: Markets,
    *,
    benchmark: str,
    costs_times: float,
    n_trials: int,
) -> dict[str, Any]:
    """What a reader must know before believing a number, as `remarks` of one symbol."""
    run = evaluation.backtest
    assert isinstance(run, PortfolioBacktest)
    end = evaluation.span[1]
    still = run.trades.loc[run.trades["status"] == "open", "symbol"].unique()
    open_ones = f"open at the end and valued at {when(end)}: {', '.join(still)}"
    return noted(
        evaluation,
        [*_forced(run, evaluation), *_idle(run)],
        of_data=[*_until(markets, end), *by_note({name: markets[name].notes for name in markets})],
        of_engine=_of_the_engine(run),
        assumed=[f"the benchmark is {benchmark}", *_apart(run)],
        on_margin=bool((run.ledger["funding"] != 0.0).any()),
        still_open=open_ones if len(still) else None,
        costs_times=costs_times,
        n_trials=n_trials,
    )


def by_note(notes: Mapping[str, Sequence[str]]) -> list[str]:
    """Notes of symbols, what several share said once."""
    whose: dict[str, list[str]] = {}
    for name, said in notes.items():
        for note in said:
            whose.setdefault(note, []).append(name)
    return [f"{', '.join(names)}: {note}" for note, names in whose.items()]


def _of_the_engine(run: PortfolioBacktest) -> list[str]:
    """What the engine knew and did not know of each leg; of spot, nothing about marks."""
    legs: dict[str, list[str]] = {}
    others = []
    for said in run.fidelity:
        name, _, note = said.partition(": ")
        if name not in run.legs:
            others.append(said)
        elif not (_is_spot(run, name) and note.startswith(("mark: ", "resolution: "))):
            legs.setdefault(name, []).append(note)
    return [*by_note(legs), *others, *hidden(run)]


def _is_spot(run: PortfolioBacktest, name: str) -> bool:
    return run.request is not None and run.request["legs"][name].account.contract is None


def _until(markets: Markets, end: pd.Timestamp) -> list[str]:
    """Notes of the markets, but for ends of symbols that a run does not reach."""
    known = markets.upto(end).lifetimes
    still = [name for name in markets if known.get(name, Lifetime()).delisted is None]
    there = [name for name in markets if markets[name].close_time[-1] + PATIENCE > end]
    told = (
        *(f"{name} was delisted" for name in still),
        *(f"the bars of {name} end" for name in there),
    )
    return [note for note in markets.notes if not note.startswith(told)]


def _apart(run: PortfolioBacktest) -> list[str]:
    """Whose equity exposures are of where wallets are separate, and which of them had to wait."""
    if run.margin.mode != "separate" or run.request is None:
        return []
    opens = {name: leg.bars.index[0] for name, leg in run.request["legs"].items()}
    late = [f"{name} ({when(time)})" for name, time in opens.items() if time > run.ledger.index[0]]
    waited = f"; in cash until their first bar: {', '.join(late)}" if late else ""
    return [
        "every leg has a wallet of its own, a part of the first equity, and its exposures are of "
        "that wallet alone: a share that a portfolio rule gives it is a share of that part"
        f"{waited}"
    ]


def _idle(run: PortfolioBacktest) -> list[str]:
    """Symbols that were never held."""
    never = [name for name, leg in run.legs.items() if not (leg["position"] != 0.0).any()]
    if len(never) == len(run.legs):
        return ["nothing was ever held"]
    return [f"never held: {', '.join(never)}"] if never else []


def _forced(run: PortfolioBacktest, evaluation: Evaluation) -> list[str]:
    """Liquidations: which leg, when, after how large a move against it."""
    fills = run.fills[run.fills["reason"] == "liquidation"]
    said = []
    for place, (_, fill) in enumerate(fills.iterrows()):
        if place == _NAMED:
            said.append(f"{counted(len(fills) - _NAMED, 'more liquidation')}: see the trades")
            break
        said.append(_liquidated(run, evaluation, fill))
    return said


def _liquidated(run: PortfolioBacktest, evaluation: Evaluation, fill: pd.Series) -> str:
    symbol, time = str(fill["symbol"]), fill["time"]
    trades = run.trades[(run.trades["symbol"] == symbol) & (run.trades["entry_time"] <= time)]
    short = float(fill["quantity"]) > 0.0  # what closes a short buys
    entry = float(trades["entry_price"].iloc[-1]) if len(trades) else np.nan
    moved = float(fill["price"]) / entry - 1.0
    inside = [period.title for period in evaluation.periods if period.start <= time < period.end]
    return (
        f"{symbol} was liquidated in the bar of {when(time)}: a {'rise' if short else 'fall'} of "
        f"{percent(abs(moved))} from its average entry at {price(entry)} to "
        f"{price(float(fill['price']))}" + (f", inside {inside[0]}" if inside else "")
    )
