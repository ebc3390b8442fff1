"""A sweep as a page: the best beside the benchmark, the luck in it, and all combinations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from delever.report.figures import Chart, heat_map, parallel
from delever.report.figures.sweep_figures import (
    MOST_LINES,
    Mark,
    density,
    setting_text,
    short,
)
from delever.report.format import number, speed, when, whole
from delever.report.page import Part, Tile, block, facts, render_page
from delever.report.pages.choosing_tables import choosing_parts
from delever.report.sweep_words import (
    COMPARED,
    cases,
    compared,
    decisions,
    family_facts,
    grounds,
    headline,
    label,
    notes,
    reasons,
    text,
    trials,
    unit,
)
from delever.report.table import Cell, Table, number_cell, numbers, tabulate, texts
from delever.research.deflation import PLANTED, PRIOR
from delever.research.swept import NEIGHBOURS, RANKED_BY, Swept

SHOWN = COMPARED[:-1]
"""Columns of the page's table, without the days."""

_HINDSIGHT = "deleveraging periods were drawn with hindsight"
_ROWS = 20
_MAPPED = (RANKED_BY, "max_drawdown", "inside_total_return")


def top(frame: pd.DataFrame, count: int = _ROWS) -> pd.DataFrame:
    """Combinations with the highest Sharpe ratio, those without one left out."""
    return frame.dropna(subset=[RANKED_BY]).nlargest(count, RANKED_BY)


def render(swept: Swept, manifest: Mapping[str, Any]) -> str:
    """Write the page of a sweep."""
    about = swept.about
    maps = charts(swept)
    every = maps.pop("combinations", None)
    return render_page(
        title=f"{swept.name}: sweep",
        name=swept.name,
        span=" · ".join(about[key] for key in ("Strategy", "Data", "Bars") if key in about),
        headline=headline(swept),
        grounds=grounds(swept),
        tiles=_tiles(swept),
        notes=[*manifest.get("notes", ()), *notes(swept)],
        blocks=[
            block("about", "What was swept", dict(about)),
            block("beside", "The best beside what it is compared with", compared_table(swept)),
            block("highest", "Highest Sharpe ratios", _highest_table(swept)),
            *(block("", each.title, each) for each in maps.values()),
            block("luck", "How much of it is luck", *_luck_parts(swept)),
            block("choosing", "Chosen on part of the time", *choosing_parts(swept)),
            block("without", "Without a result", _reasons_table(swept.frame)),
            block("all", "All combinations", every),
            block("assumptions", "Assumptions", [_HINDSIGHT]),
            block("made-from", "Made from", dict(facts(manifest)), kind="folded"),
        ],
    )


def charts(swept: Swept) -> dict[str, Chart]:
    """Every figure of the page; none where no combination has a Sharpe ratio."""
    frame, axes = swept.frame, swept.axes
    drawn: dict[str, Chart] = {}
    if not frame[RANKED_BY].notna().any():
        return drawn
    varied = [axis for axis in axes if frame[axis].nunique() > 1]
    varied.sort(  # what nobody chooses comes last
        key=lambda axis: (
            axis.startswith("costs."),
            frame[axis].dtype.kind not in "iuf",
            -frame[axis].nunique(),
        )
    )
    marks = _marks(swept)
    if len(varied) > 1:
        x, y = varied[:2]
        for one in _MAPPED:
            fraction = unit(one) == "fraction"
            drawn[one] = heat_map(frame, x, y, one, label(one), fraction=fraction, marks=marks)
    shown = [one for one in (RANKED_BY, "cagr", *_MAPPED[1:]) if frame[one].notna().any()]
    if frame[shown].notna().all(axis=1).any():
        if len(frame) > MOST_LINES:
            beside = ("max_drawdown", label("max_drawdown"))
            drawn["density"] = density(frame, (RANKED_BY, label(RANKED_BY)), beside, marks=marks)
        drawn["combinations"] = parallel(frame, axes, [(one, label(one)) for one in shown])
    return drawn


def _marks(swept: Swept) -> list[Mark]:
    found = swept.terrain
    if found is None:
        return []
    best = Mark(label="best", row=found.peak, symbol="star")
    if found.plateau == found.peak:
        return [best]
    return [best, Mark(label="best plateau", row=found.plateau, symbol="diamond")]


def _tiles(swept: Swept) -> list[Tile]:
    """The best, its neighbours, and the luck in it."""
    found, luck = swept.terrain, swept.deflation
    if found is None:
        return []
    beside, days = swept.frame[NEIGHBOURS], swept.days
    held = swept.benchmark
    tiles = [
        Tile(
            label="Best Sharpe ratio",
            value=text(swept.frame[RANKED_BY].iloc[found.peak], RANKED_BY, days.iloc[found.peak]),
            beside="" if held is None else f"{held.name} {number(held[RANKED_BY])}",
        ),
        Tile(
            label="Its neighbours' median",
            value=text(beside.iloc[found.peak], NEIGHBOURS, days.iloc[found.peak]),
            beside=f"best plateau {number(beside.iloc[found.plateau])}",
        ),
    ]
    if luck is not None:
        tiles += [
            Tile(
                label="Deflated Sharpe ratio (2014)",
                value=number(luck.deflated),
                beside="0.95 is asked for by custom",
            ),
            Tile(
                label="Effective trials",
                value=trials(luck.effective).split()[0],
                beside=f"of {luck.trials:,} made",
            ),
        ]
        if luck.above > 0.0 and not math.isnan(luck.chance_above) and held is not None:
            tiles.append(
                Tile(
                    label=f"Luck alone is as far above {held.name}",
                    value=cases(luck.chance_above),
                    beside="of cases",
                )
            )
    return tiles


def compared_table(swept: Swept) -> Table | None:
    """The best, the best plateau and the benchmark side by side."""
    frame = compared(swept)
    if frame.empty:
        return None

    days = frame.reindex(["days"]).loc["days"].to_dict()

    def cell(row: Mapping[str, Any], column: str) -> Cell:
        return number_cell(row[column], lambda amount: text(amount, row["index"], days[column]))

    return tabulate(
        "compared",
        frame,
        (
            texts("", lambda row: label(row["index"])),
            *(texts(name, partial(cell, column=name), numeric=True) for name in map(str, frame)),
        ),
        caption="All over the bars of the best combination, the best plateau over its own where it "
        "begins later or earlier. A benchmark has no neighbours.",
    )


def _highest_table(swept: Swept) -> Table:
    """The combinations with the highest Sharpe ratios."""
    frame, axes = swept.frame, swept.axes
    shown = top(frame)
    left = f"{len(shown):,} of {len(frame):,} combinations. " if len(shown) < len(frame) else ""
    return tabulate(
        "highest-ratios",
        shown,
        (
            *(
                texts(short(axis), lambda row, axis=axis: setting_text(row[axis]), numeric=True)
                for axis in axes
            ),
            *(
                [texts("First decision", lambda row: when(row["first_decision"]), numeric=True)]
                if len(decisions(frame))
                else []
            ),
            *(
                texts(label(one), lambda row, one=one: _shown(row, one), numeric=True)
                for one in SHOWN
            ),
        ),
        caption=f"{left}All are in sweep.parquet beside a stored page, with every metric in "
        "its folder chunks, and in the frame of dl.sweep. Neighbours' Sharpe is the median over "
        "the combinations one step away on one axis of numbers other than costs, or the nearest "
        "ones of a sample.",
        empty="No combination has one.",
        sortable=True,
    )


def _shown(row: Mapping[str, Any], column: str) -> Cell:
    return number_cell(row[column], lambda amount: text(amount, column, row.get("days", math.nan)))


def _luck_parts(swept: Swept) -> list[Part]:
    """The deflated Sharpe ratio and all that goes into it."""
    luck = swept.deflation
    if luck is None or swept.terrain is None:
        return ["Too few bars or results to tell."]
    days = float(swept.days.iloc[swept.terrain.peak])
    shown = {
        "Trials ever made on these data": whole(luck.trials),
        "Effective trials": trials(luck.effective).split()[0],
        "Sharpe ratio of the best, yearly": speed(number(luck.sharpe), days),
        "Expected of the best of as many worthless trials": speed(number(luck.expected), days),
        "Spread of worthless trials' Sharpe ratios": speed(number(luck.spread), days),
        "Bars": whole(luck.bars),
        "Skew of the best's returns": number(luck.skew),
        "Kurtosis (normal: 3)": number(luck.kurtosis),
        "Autocorrelation of the best's returns": number(luck.autocorrelation),
        "Average correlation of all combinations": number(luck.correlation),
        "Deflated Sharpe ratio, form of 2014": number(luck.deflated),
        "Deflated Sharpe ratio, form of 2026": number(luck.deflated_2026),
        "Haircut Sharpe ratio": speed(number(luck.haircut), days),
        "Minimum track record, years": number(luck.record_years),
        "Minimum backtest length, years": number(luck.length_years),
        "False discovery rate": cases(luck.false_discovery),
        "The best of as many worthless trials looks as good in": f"{cases(luck.chance)} of cases",
        **family_facts(swept),
    }
    return [
        shown,
        "Effective trials: as many independent ones would bring forth a lucky one as often, by "
        "the correlation of all combinations' returns in blocks of time (Moskvina and Schmidt "
        "2008); trials of earlier sweeps count for what they added to those. How often worthless "
        "trials look as good: the figures of all combinations with the signs of blocks of time "
        "drawn at random, so returns may be wild and depend on each other, and combinations move "
        "together as they do; those above the benchmark are found step by step, so that one of "
        "them is there by luck in at most 5% of cases (Romano and Wolf 2005). Worthless is a true"
        " Sharpe ratio of 0, or that of the benchmark, or its growth. The deflated Sharpe ratio "
        "is the probability that the true one is above what the best of as many worthless trials "
        "is expected to show (Bailey and Lopez de Prado 2014). Its spread is that across "
        "combinations or, where it is larger, the standard error of a single worthless one. It "
        "takes bars to be independent, but for the form of 2026 (Lopez de Prado, Lipton and "
        "Zoonekynd), in which the best of many varies less than each of them. Haircut: the ratio "
        "whose single test is as convincing, on average over three corrections for all trials "
        "(Harvey and Liu 2015). Minimum track record: years until a ratio like this is above 0 at"
        " 95%. Minimum backtest length: years below which the best of as many worthless trials is"
        " expected to show this ratio (Bailey and others 2014). False discovery rate: the chance "
        "that a rule with this p-value is worthless "
        f"if one in {1 / PRIOR:.0f} were worth a ratio of {PLANTED:g} and the others nothing.",
    ]


def _reasons_table(frame: pd.DataFrame) -> Table:
    """Why combinations have no result."""
    return tabulate(
        "reasons",
        reasons(frame),
        (texts("Reason", "reason"), numbers("Combinations", "combinations", whole)),
        caption="Reasons that differ in numbers alone are counted together; the first is shown.",
    )
