"""What a reader must know before believing the numbers of a run of several symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from delever.arguments import counted
from delever.engine.portfolio import PortfolioBacktest
from delever.panel import PATIENCE, Lifetime, Markets
from delever.report.format import percent, price, short_span, when
from delever.research.evaluation import Evaluation
from delever.study.runs.remarks import ASSUMED, hidden, one_of
from delever.units import DAYS_PER_YEAR

_NAMED = 3


def joint_remarks(
    evaluation: Evaluation,
    markets: Markets,
    *,
    benchmark: str,
    costs_times: float = 1.0,
    n_trials: int = 1,
) -> dict[str, list[str]]:
    """What a reader must know, as a manifest keeps it: `notes`, of which some are `assumptions`."""
    run = evaluation.backtest
    assert isinstance(run, PortfolioBacktest)
    warned, assumed = [*_forced(run, evaluation), *_idle(run)], [f"the benchmark is {benchmark}"]
    if costs_times != 1.0:
        warned.append(
            f"costs x{costs_times:g}: fees and slippage are that many times as high as they were "
            "said to be, the benchmark's as well"
        )
    warned.extend(short_span(evaluation.years * DAYS_PER_YEAR))
    warned.extend(_until(markets, evaluation.span[1]))
    warned.extend(by_note({name: markets[name].notes for name in markets}))
    if evaluation.periods:
        assumed.append("deleveraging periods were drawn with hindsight")
    else:
        warned.append("no deleveraging period of the catalogue lies in this run")
    warned.extend(
        f"the run covers {period.title} ({period.id}) only in part"
        for period in evaluation.cut_periods
    )
    for said in _of_the_engine(run):
        (assumed if said.partition(": ")[2].startswith(ASSUMED) else warned).append(said)
    ruined = run.equity[run.equity <= 0]
    if len(ruined):
        warned.append(
            f"the account was ruined in the bar of {when(ruined.index[0])} and did nothing after "
            "it; a loss avoided since then is no protection"
        )
    if (run.ledger["funding"] != 0.0).any():
        assumed.append("the benchmark holds spot: it pays no funding and cannot be liquidated")
    if n_trials > 1:
        assumed.append(one_of(n_trials))
    still = run.trades.loc[run.trades["status"] == "open", "symbol"].unique()
    if len(still):
        end = evaluation.span[1]
        assumed.append(f"open at the end and valued at {when(end)}: {', '.join(still)}")
    return {"notes": [*dict.fromkeys([*warned, *assumed])], "assumptions": assumed}


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
