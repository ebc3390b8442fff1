"""A card for each deleveraging period: its path from the start, and what the strategy did in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.deleveraging.membership import per_period
from delever.deleveraging.period import Period
from delever.deleveraging.phases import phases
from delever.report.format import money, percent
from delever.report.pages.metric_tables import period_dates
from delever.research.evaluation import Evaluation

_POINTS = 90
_WIDE, _HIGH, _STRIP = 280.0, 96.0, 16.0
"""Of a drawing, in its own units: width, height of the paths, height of the exposure below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodPath:
    """What a strategy did inside one period, bar by bar."""

    period: Period
    # shape (bars inside + 1, 3): ``strategy`` and ``benchmark`` as wealth per wealth at the close
    # before the period, which is the first row, and ``exposure`` at each close
    path: pd.DataFrame
    facts: tuple[tuple[str, str], ...]  # names and texts
    trough: int | None  # row of the path that ends the cascade; None where phases are not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A period as it is drawn."""

    title: str
    dates: str
    said: str  # for who cannot see the drawing
    own: str  # points of the paths
    other: str
    held: str  # outline of the exposure
    level: float  # height of no change
    zero: float  # height of no exposure
    trough: float | None  # where the cascade ends, from the left
    facts: tuple[tuple[str, str], ...]


def period_paths(evaluation: Evaluation, benchmark: str) -> Iterator[PeriodPath]:
    """What the strategy did inside each period of a run, in order of time."""
    run, other = evaluation.backtest, evaluation.benchmark
    index = pd.DatetimeIndex(run.ledger.index)
    held = run.ledger["exposure"]
    inside = per_period(index, run.timeframe, evaluation.periods)
    cut = evaluation.cut_periods
    for period in evaluation.periods:
        rows = np.flatnonzero(inside[period.id].to_numpy())
        grown = [
            np.append(1.0, np.cumprod(1.0 + each.returns.to_numpy()[rows])) for each in (run, other)
        ]
        before = float(held.iloc[rows[0] - 1]) if rows[0] else 0.0
        path = pd.DataFrame(
            {
                "strategy": grown[0],
                "benchmark": grown[1],
                "exposure": np.append(before, held.to_numpy()[rows]),
            }
        )
        cascade, said = (None, "") if period in cut else _phases(evaluation, period, rows)
        facts = [
            ("Strategy", percent(grown[0][-1] - 1.0)),
            (benchmark.capitalize(), percent(grown[1][-1] - 1.0)),
            *([("Fills", _fills(evaluation, index[rows]))] if run.known else []),
            *([("Phases", said)] if said else []),
        ]
        if "funding" in run.ledger:
            facts.append(("Funding", money(float(run.ledger["funding"].iloc[rows].sum()))))
        yield PeriodPath(period=period, path=path, facts=tuple(facts), trough=cascade)


def _fills(evaluation: Evaluation, bars: pd.DatetimeIndex) -> str:
    fills = evaluation.backtest.fills
    there = fills[fills["time"].isin(bars)]
    forced = int((there["reason"] == "liquidation").sum())
    return f"{len(there)}" + (f", {forced} liquidated" if forced else "")


def _phases(evaluation: Evaluation, period: Period, rows: np.ndarray) -> tuple[int | None, str]:
    """Bars of the cascade, and the phases in words; nothing where the run does not show them."""
    if period.start <= evaluation.bars.index[0]:  # no close before it to fall from
        return None, ""
    # With a bar before and those after, as the phases inside need; of the others nothing is said.
    close = evaluation.bars["close"].iloc[max(rows[0] - 2, 0) : rows[-1] + 3]
    counts = phases(period, close, evaluation.backtest.timeframe).value_counts()
    cascade, washout = int(counts["cascade"]), int(counts["washout"])
    return cascade, f"{cascade} + {washout} bars"


def cards(paths: list[PeriodPath]) -> list[Card]:
    """Drawings on one scale, so that heights of different periods can be compared."""
    if not paths:
        return []
    both = pd.concat([each.path for each in paths])
    wealth = both[["strategy", "benchmark"]].to_numpy()
    low, high = float(wealth.min()), float(wealth.max())
    # A falling account's exposure runs away: what is beyond nearly all of it is cut off.
    most = max(1.0, float(both["exposure"].abs().quantile(0.98)))
    short = bool((both["exposure"] < 0.0).any())

    def height(values: np.ndarray) -> np.ndarray:
        return (_HIGH - 4.0) * (high - values) / max(high - low, 1e-9) + 2.0

    def strip(values: np.ndarray) -> np.ndarray:
        share = np.clip(values / most, -1.0, 1.0)
        share = (share + 1.0) / 2.0 if short else share
        return _HIGH + 4.0 + _STRIP * (1.0 - share)

    made = []
    for each in paths:
        kept = _kept(each.path)
        across = kept / max(len(each.path) - 1, 1) * _WIDE
        own, other, held = (each.path[name].to_numpy()[kept] for name in each.path)
        zero = float(strip(np.zeros(1))[0])
        outline = np.column_stack([np.repeat(across, 2)[1:], np.repeat(strip(held), 2)[:-1]])
        outline = np.vstack([[0.0, zero], outline, [_WIDE, zero]])
        made.append(
            Card(
                title=each.period.title,
                dates=period_dates(each.period),
                said="; ".join(f"{name} {text}" for name, text in each.facts),
                own=_points(across, height(own)),
                other=_points(across, height(other)),
                held=_points(outline[:, 0], outline[:, 1]),
                level=round(float(height(np.ones(1))[0]), 1),
                zero=round(zero, 1),
                trough=None
                if each.trough is None
                else round(each.trough / max(len(each.path) - 1, 1) * _WIDE, 1),
                facts=each.facts,
            )
        )
    return made


def _kept(path: pd.DataFrame) -> np.ndarray:
    """Rows that are drawn: evenly spread, with the extremes of both paths."""
    spread = np.linspace(0, len(path) - 1, min(_POINTS, len(path))).astype(int)
    ends = [int(find(path[name])) for name in ("strategy", "benchmark") for find in _EXTREMES]
    return np.unique([*spread, *ends])


_EXTREMES = (np.argmin, np.argmax)


def _points(across: np.ndarray, down: np.ndarray) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
