"""A signal study as tables, as one sentence, and as a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import pandas as pd

from delever.report import figures
from delever.report.format import NOT_AVAILABLE, day, number, percent, price, when
from delever.report.page import render_page
from delever.report.pages.ladder_table import ladder_table, rung_title
from delever.report.table import Cell, Column, Table, fraction_cell, number_cell
from delever.research.signal.event_study import EventStudy
from delever.research.signal.forward import FEWEST_EVENTS
from delever.research.signal.ladder import Ladder
from delever.research.signal.study import SignalStudy

__all__ = [
    "abnormal_table",
    "charts",
    "comparison_table",
    "event_table",
    "outcome_table",
    "render",
    "sentence",
]

AGAINST: Final = {
    "all": "all bars",
    "matched": "volatility-matched bars",
    "placebo": "breaks of placebo levels",
}
"""What events are compared with, in words."""


def sentence(study: SignalStudy) -> str:
    """Say what the study may conclude."""
    row, design = study.deciding, study.design
    distinct = int(study.outcomes.loc[design.decides, "distinct"])  # type: ignore[arg-type]
    held = f"the {design.decides} bars after {distinct} distinct events"
    others = AGAINST[study.against]
    if study.verdict == "too few":
        return (
            f"No verdict: there are {distinct} distinct events, and below {FEWEST_EVENTS} "
            "nothing is tested."
        )
    found = (
        f"beside {others}, {held} differ by {percent(row['adjusted'])} at equal volatility "
        f"(interval {percent(row['low'])} to {percent(row['high'])}, p = {row['p_value']:.3f})"
    )
    seen = f"so many events show differences from {percent(row['detectable'])} on"
    match study.verdict:
        case "higher" | "lower":
            return f"Returns are {study.verdict}: {found}; {seen}."
        case "negligible":
            return (
                f"No difference that would matter: {found}; {seen}, and "
                f"{percent(design.smallest_effect or math.nan)} would matter."
            )
        case _:
            why = "rejects, but is too small to be trusted" if study.rejects else "is undecided"
            return f"No verdict: {found}; {seen}, so this {why}."


def outcome_table(study: SignalStudy) -> Table:
    """Distribution of forward returns, a row per horizon."""
    rows = []
    for horizon, row in study.outcomes.iterrows():
        hits = f"{percent(row['hit_low'], 0)} to {percent(row['hit_high'], 0)}"
        rows.append(
            (
                Cell(text=f"{horizon} bars", order=float(str(horizon))),
                number_cell(row["events"], lambda known: number(known, 0)),
                number_cell(row["distinct"], lambda known: number(known, 0)),
                number_cell(row["effective"], lambda known: number(known, 1)),
                *(fraction_cell(row[name]) for name in ("mean", "median", "q05", "q95")),
                number_cell(row["hit_rate"], percent),
                Cell(text=hits if row["distinct"] else NOT_AVAILABLE),
                fraction_cell(row["adverse"]),
                fraction_cell(row["favourable"]),
            )
        )
    return Table(
        id="outcomes",
        columns=(
            Column(label="Held", numeric=False),
            Column(label="Events"),
            Column(label="Distinct", title="whose holding periods do not overlap"),
            Column(label="Effective", title="independent holding periods they are worth"),
            Column(label="Mean"),
            Column(label="Median"),
            Column(label="5%", title="one event in twenty came out worse"),
            Column(label="95%", title="one event in twenty came out better"),
            Column(label="Hit rate", title="share with a return above 0"),
            Column(label="95% interval", title="of the hit rate, after Wilson"),
            Column(label="Adverse", title="mean of the worst price met"),
            Column(label="Favourable", title="mean of the best price met"),
        ),
        rows=tuple(rows),
        caption="Bought at the open after the event and held for so many bars. Of events whose "
        "holding periods overlap the first counts; several markets on one date count as one. "
        "Adverse and favourable are the mean worst and best price met on the way.",
    )


def comparison_table(study: SignalStudy) -> Table:
    """Forward returns beside those of others, a row per horizon and comparison."""
    rows = []
    decided, power = (study.design.decides, study.against), study.design.power
    for key, row in zip(study.comparisons.index, _rows(study.comparisons), strict=True):
        horizon, against = key
        interval = f"{percent(row['low'])} to {percent(row['high'])}"
        rows.append(
            (
                Cell(
                    text=f"{horizon} bars",
                    note="the verdict rests on it" if key == decided else "",
                    tone="best" if key == decided else "",
                ),
                Cell(text=AGAINST[against], tone="best" if key == decided else ""),
                fraction_cell(row["mean"]),
                fraction_cell(row["difference"]),
                fraction_cell(row["adjusted"]),
                Cell(text=NOT_AVAILABLE, tone="quiet")
                if math.isnan(row["low"])
                else Cell(text=interval),
                number_cell(row["p_value"], lambda known: number(known, 3)),
                number_cell(row["detectable"], percent),
            )
        )
    return Table(
        id="comparisons",
        columns=(
            Column(label="Held", numeric=False),
            Column(label="Beside", numeric=False),
            Column(label="Their mean"),
            Column(label="Difference"),
            Column(label="at equal volatility", title="returns scaled by volatility, scaled back"),
            Column(label=f"{percent(1 - study.design.alpha, 0)} interval"),
            Column(label="p"),
            Column(label="Detectable", title="found with the stated power"),
        ),
        rows=tuple(rows),
        caption="Difference: what came after the events less what came after the others. At equal "
        "volatility: the same with every return in units of how wild its market was; the interval, "
        "p and the verdict are about this one. p: how often chance alone gives a difference as "
        f"large. Detectable: the smallest that so few events would show in {percent(power, 0)} of "
        "such samples. One row decides and was named beforehand; the p of the others are not "
        "corrected for there being several.",
    )


def _rows(frame: pd.DataFrame) -> list[pd.Series]:
    return [row for _, row in frame.iterrows()]


def abnormal_table(study: EventStudy) -> Table:
    """Tests of the mean cumulated abnormal return."""
    rows = tuple(
        (
            Cell(text=str(name)),
            number_cell(row["statistic"], number),
            number_cell(row["p_value"], lambda known: number(known, 3)),
        )
        for name, row in study.tests.iterrows()
    )
    kept = study.events
    return Table(
        id="abnormal",
        columns=(
            Column(label="Test", numeric=False),
            Column(label="Statistic"),
            Column(label="p"),
        ),
        rows=rows,
        caption=f"{len(kept)} events in {kept['cluster'].nunique()} clusters; "
        f"{len(study.dropped)} could not be used. Mean {percent(kept['car'].mean())}, detectable "
        f"{percent(study.detectable)}, mean correlation {number(study.correlation)}. Normal is the "
        + ("mean" if study.model == "mean" else "line through the benchmark")
        + f" of {study.estimation} bars that end {study.gap} bars before the event.",
    )


def event_table(study: SignalStudy) -> Table:
    """Every event, the latest first."""
    decides = study.design.decides
    rows = []
    for _, row in study.events.iloc[::-1].iterrows():
        rows.append(
            (
                Cell(text=when(row["time"]), order=day(row["time"])),
                Cell(text=str(row["symbol"])),
                number_cell(row["level"], price),
                number_cell(row["close"], price),
                *(fraction_cell(row[horizon]) for horizon in study.design.horizons),
                fraction_cell(row["adverse"]),
                Cell(text="yes" if row["counted"] else "no"),
            )
        )
    return Table(
        id="events",
        columns=(
            Column(label="Bar", numeric=False),
            Column(label="Market", numeric=False),
            Column(label="Level"),
            Column(label="Close"),
            *(Column(label=f"{horizon} bars") for horizon in study.design.horizons),
            Column(label="Adverse", title=f"within {decides} bars"),
            Column(label="Counted", numeric=False, title=f"over {decides} bars"),
        ),
        rows=tuple(rows),
        sortable=True,
        limit=20,
    )


def charts(
    study: SignalStudy, ladder: Ladder | None, abnormal: EventStudy | None
) -> dict[str, figures.Chart]:
    """Every figure of the page, by name; a curve per further level is called ``rung`` and it."""
    drawn = {}
    decides = study.design.decides
    means = study.placebos[study.placebos["horizon"] == decides]["mean"]
    if means.notna().any():
        actual = float(study.outcomes.loc[decides, "mean"])  # type: ignore[arg-type]
        drawn["placebos"] = figures.placebo_means(means, actual)
    if ladder is not None:
        for rung in ladder.rungs:
            drawn[f"rung {rung!r}"] = figures.rung_curves(
                ladder.curve(rung), rung, rung_title(ladder, rung)
            )
    if abnormal is not None:
        drawn["abnormal"] = figures.abnormal_path(abnormal.path)
    return drawn


def render(
    study: SignalStudy,
    ladder: Ladder | None,
    abnormal: EventStudy | None,
    *,
    data: Sequence[str],
    notes: Sequence[str],
) -> str:
    """Write the page of a signal study."""
    design = study.design
    return render_page(
        "signal.html",
        title=f"{study.name} - signal study",
        name=study.name,
        span=f"{when(study.start)} to {when(study.end)} UTC, {', '.join(study.symbols)}, "
        f"{study.timeframe}",
        verdict=study.verdict,
        sentence=sentence(study),
        notes=list(notes),
        outcomes=outcome_table(study),
        comparisons=comparison_table(study),
        charts=charts(study, ladder, abnormal),
        rank=percent(study.placebo_rank, 0),
        ladder=None if ladder is None else ladder_table(ladder),
        abnormal=None if abnormal is None else abnormal_table(abnormal),
        rungs=[] if ladder is None else [f"rung {rung!r}" for rung in ladder.rungs],
        events=event_table(study),
        asked=[
            ("data", "; ".join(data)),
            ("horizons", ", ".join(map(str, design.horizons))),
            ("decides", f"{design.decides} bars, beside {AGAINST[study.against]}"),
            ("placebo levels", f"{design.draws}, within {design.placebo_distance:g} in logarithms"),
            ("level and power", f"{design.alpha:g}, {design.power:g}"),
            (
                "smallest effect that matters",
                "not said" if design.smallest_effect is None else percent(design.smallest_effect),
            ),
            ("seed", str(design.seed)),
        ],
    )
