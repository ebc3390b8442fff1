"""A sweep as a page: the best combinations, how smooth their neighbourhood is, and all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from delever.report.figures import Chart, heat_map, parallel
from delever.report.figures.sweep_figures import setting_text
from delever.report.format import value
from delever.report.page import block, facts, render_page
from delever.report.table import numbers, tabulate, texts
from delever.stats.metrics import find

SHOWN = (
    "total_return",
    "cagr",
    "sharpe_ratio",
    "max_drawdown",
    "calmar_ratio",
    "trades",
    "inside_total_return",
    "outside_total_return",
)
"""Columns of the page's table."""

_HINDSIGHT = "deleveraging periods were drawn with hindsight"
_RANKED_BY = "sharpe_ratio"
_MAPPED = (_RANKED_BY, "max_drawdown", "inside_total_return")


def top(frame: pd.DataFrame, count: int = 20, by: str = _RANKED_BY) -> pd.DataFrame:
    """Combinations with the highest of a metric, those without it left out."""
    return frame.dropna(subset=[by]).nlargest(count, by)


def render(
    name: str, frame: pd.DataFrame, *, axes: Sequence[str], manifest: Mapping[str, Any]
) -> str:
    """Write the page of a sweep."""
    best = tabulate(
        "highest",
        top(frame),
        (
            *(texts(axis, partial(_setting, axis=axis)) for axis in axes),
            *(numbers(label(one), one, partial(text, column=one)) for one in SHOWN),
        ),
        empty="No combination has one.",
    )
    return render_page(
        title=f"{name}: sweep",
        name=name,
        span=f"{len(frame):,} combinations",
        notes=_notes(frame, manifest),
        blocks=[
            *(block("", each.title, each) for each in charts(frame, axes).values()),
            block("best", "Highest Sharpe ratios", best),
            block("assumptions", "Assumptions", [_HINDSIGHT]),
            block("made-from", "Made from", dict(facts(manifest))),
        ],
    )


def _setting(row: Mapping[str, Any], axis: str) -> str:
    return setting_text(row[axis])


def charts(frame: pd.DataFrame, axes: Sequence[str]) -> dict[str, Chart]:
    """Every figure of the page; none where no combination has a Sharpe ratio."""
    drawn: dict[str, Chart] = {}
    if not frame[_RANKED_BY].notna().any():
        return drawn
    varied = [axis for axis in axes if frame[axis].nunique() > 1]
    varied.sort(key=lambda axis: (frame[axis].dtype.kind not in "iuf", -frame[axis].nunique()))
    if len(varied) > 1:
        x, y = varied[:2]
        for one in _MAPPED:
            drawn[one] = heat_map(frame, x, y, one, label(one), fraction=_unit(one) == "fraction")
    shown = [one for one in (_RANKED_BY, "cagr", *_MAPPED[1:]) if frame[one].notna().any()]
    if frame[shown].notna().all(axis=1).any():
        drawn["combinations"] = parallel(frame, axes, [(one, label(one)) for one in shown])
    return drawn


def _notes(frame: pd.DataFrame, manifest: Mapping[str, Any]) -> list[str]:
    notes = [
        f"{manifest['n_trials']:,} combinations were ever tried in this study on this data: the "
        "best of so many looks good by luck alone; deflate it before believing it",
    ]
    starts = frame["start"].dropna()
    if starts.nunique() > 1:
        notes.append(
            f"combinations begin on different bars, from {starts.min():%Y-%m-%d} to "
            f"{starts.max():%Y-%m-%d}, each when its own warm-up ends; give the study a start to "
            "compare them over one span"
        )
    if manifest["failed"]:
        notes.append(
            f"{manifest['failed']:,} combinations have no result; the column error says why"
        )
    return notes


def label(column: str) -> str:
    """Name of a column of metrics as pages and tables show it."""
    for scope in ("inside", "outside"):
        if column.startswith(f"{scope}_"):
            return f"{find(column.removeprefix(f'{scope}_')).label} {scope}"
    return find(column).label


def _unit(column: str) -> str:
    return find(column.removeprefix("inside_").removeprefix("outside_")).unit


def text(amount: float, column: str) -> str:
    """A number of a column of metrics as pages and tables show it."""
    return value(float(amount), _unit(column))
