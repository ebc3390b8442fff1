"""What pages say of bars and readings that are unlike everything around them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from delever.arguments import counted
from delever.bars import gaps
from delever.data.plausibility import Doubt, implausible
from delever.data.references import Dataset
from delever.engine.backtest import Backtest
from delever.research.evaluation import Evaluation
from delever.view import MarketView

MARK = "implausible"
"""How every warning of this module begins."""

_ACROSS = 0.01
"""A fraction of equity earned across one hole, or all of them, that is worth a word."""


def market_warnings(market: MarketView) -> tuple[str, ...]:
    """What of a market to look at before believing anything made of it."""
    bars = implausible(_prices(market.bars), "ohlcv", market.timeframe)
    lines = (
        _line("bars", _named(bars)),
        _line("earlier bars", _of_earlier(market)),
        _line("series", _of_readings(market)),
    )
    return tuple(line for line in lines if line)


def dataset_notes(data: Dataset) -> list[str]:
    """The notes of a data set, with what is implausible in it first."""
    found = implausible(data.frame, data.reference.kind, data.reference.timeframe)
    line = _line(str(data.reference), _named(found))
    return [*([line] if line else []), *(f"{data.reference}: {note}" for note in data.notes)]


def market_notes(market: MarketView) -> list[str]:
    """Its notes, with the warnings of the bars that it holds now first."""
    others = (note for note in market.notes if not note.startswith(MARK))
    return [*market_warnings(market), *others]


def run_warnings(evaluation: Evaluation, market: MarketView) -> list[str]:
    """The same for a run: its own bars, those before it, its marks, and what it did in them."""
    run = evaluation.backtest
    first, last = evaluation.bars.index[0], evaluation.bars.index[-1]
    # Nothing after the run has a say in what is said of it.
    everything = implausible(_prices(market.bars.loc[:last]), "ohlcv", market.timeframe)
    own = _within(everything, first, last)
    before = _within(everything, market.index[0], first - pd.Timedelta(1))
    mark = run.account.mark if run.account is not None else None
    marks: list[Doubt] = []
    if isinstance(mark, pd.DataFrame):
        marks = _within(implausible(_prices(mark.loc[:last]), "mark", run.timeframe), first, last)
    earlier = _named(before, "before the run, for its signals: " if own else "")
    where = "bars" if own else "bars before the run, which its signals alone see"
    lines = (
        _line(where, (*_named(own), *_forced(run, own), *earlier)),
        _line("earlier bars", _of_earlier(market)),
        _line("mark prices", (*_named(marks), *_forced(run, marks))),
        _line("series", _of_readings(market, last)),
        _across_holes(run, evaluation.bars),
    )
    return [line for line in lines if line]


def _prices(bars: pd.DataFrame) -> pd.DataFrame:
    """The columns that are judged."""
    return bars[[name for name in ("open", "high", "low", "close", "volume") if name in bars]]


def _within(found: Iterable[Doubt], first: pd.Timestamp, last: pd.Timestamp) -> list[Doubt]:
    kept = (doubt.within(first, last) for doubt in found)
    return [doubt for doubt in kept if doubt is not None]


def _line(what: str, said: Iterable[str]) -> str:
    """One warning for a frame, however many rules name something."""
    joined = "; ".join(said)
    return f"{MARK} {what}, left as they are: {joined}" if joined else ""


def _named(found: Iterable[Doubt], where: str = "") -> list[str]:
    return [f"{where}{doubt.said}" for doubt in found]


def _of_earlier(market: MarketView) -> list[str]:
    before = market.earlier
    if before is None:
        return []
    return _named(implausible(_prices(before.bars), "ohlcv", before.timeframe))


def _of_readings(market: MarketView, last: pd.Timestamp | None = None) -> list[str]:
    named = []
    for name, reading in market.readings.items():
        frame = reading.frame if last is None else reading.frame.loc[:last]
        found = implausible(frame, "series", market.timeframe)
        named += _named(found, f"{name}: ")
    return named


def _forced(run: Backtest, found: Iterable[Doubt]) -> list[str]:
    """Liquidations and stops that an implausible bar set off."""
    stamps = {stamp for doubt in found for stamp in doubt.stamps}
    forced = run.fills[~run.fills["reason"].isin(("target", "limit"))]
    hit = forced[forced["time"].isin(stamps)]
    if hit.empty:
        return []
    time, reason = hit["time"].iloc[0], str(hit["reason"].iloc[0]).replace("_", " ")
    more = f", as did {len(hit) - 1:,} more such fills" if len(hit) > 1 else ""
    return [f"the {reason} of {time:%Y-%m-%d %H:%M} came in such a bar{more}"]


def _across_holes(run: Backtest, bars: pd.DataFrame) -> str:
    """What the position carried over missing bars earned on them."""
    index = pd.DatetimeIndex(bars.index)
    holes = gaps(index, run.timeframe)
    if holes.empty or (run.account is not None and run.account.inverse):
        return ""
    after = index.get_indexer(pd.DatetimeIndex(holes["end"]))
    held = run.ledger["position"].to_numpy()[after - 1]
    equity = run.ledger["equity"].to_numpy()[after - 1]
    if np.isnan(held).any():  # of returns alone
        return ""
    moved = bars["open"].to_numpy()[after] - bars["close"].to_numpy()[after - 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        earned = np.where((held != 0.0) & (equity > 0.0), held * moved / equity, 0.0)
    total, worst = float(np.prod(1 + earned) - 1), int(np.argmax(np.abs(earned)))
    if max(abs(total), abs(float(earned[worst]))) < _ACROSS:
        return ""
    over = int((earned != 0.0).sum())
    most = "" if over == 1 else f", at most {earned[worst]:+.1%}"
    return (
        f"{counted(over, 'hole')} in the bars, held through, made {total:+.1%} of equity{most} up "
        f"to {index[after[worst]]:%Y-%m-%d %H:%M}; what stops and liquidations would have done "
        "inside is unknown"
    )
