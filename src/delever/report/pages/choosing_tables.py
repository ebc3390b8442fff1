"""What choosing the best of a sweep came to, as blocks of its page and words of the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from delever.report.answer_words import p_value
from delever.report.figures.luck_figures import splits
from delever.report.format import day, number, percent, points, three_digits, whole
from delever.report.page import Part
from delever.report.sweep_words import where
from delever.report.table import (
    Cell,
    Table,
    fraction_cell,
    number_cell,
    numbers,
    points_cell,
    speed_cell,
    tabulate,
    texts,
)
from delever.research.choosing import EMBARGO_DAYS, Choosing
from delever.research.finalists import Finalists
from delever.research.swept import Swept
from delever.stats.overfitting import Overfitting

BY = {"sharpe_ratio": "By Sharpe ratio", "payout": "By payout"}
"""Ways of choosing, as columns are headed."""
_SPA = "Any of the best of the first half grows more than holding in the second (SPA)"


def choosing_parts(swept: Swept) -> list[Part]:
    """Everything of it that there is, as parts of a block."""
    found = swept.choosing
    if found is None or (found.overfitting is None and found.periods.empty):
        return ["Too few bars or combinations to choose on part of them."]
    parts: list[Part] = []
    if len(found.periods):
        parts += [left_out_table(swept), eras_table(swept)]
    if found.overfitting is not None:
        parts += [facts_of(found), splits(found.overfitting)]
    if swept.finalists is not None:
        parts.append(finalists_table(swept))
    parts.append(
        "Each row chooses without the bars it is measured on, and without "
        f"{EMBARGO_DAYS} days on both sides of them. The median is what choosing blindly gives; "
        "p is how often combinations that change places from one period to another, so that none "
        "stays good, give as much. "
        "Probability of overfitting: of all ways to halve 16 blocks of time, how often the best of "
        "one half is no better than the middle combination in the other (Bailey, Borwein, Lopez "
        "de Prado and Zhu 2017); where combinations differ by luck alone it is one half, not one. "
        "Out-of-sample histories: eight groups of blocks, every two of them left out in turn "
        "(combinatorial purged cross-validation); changing over between combinations is free in "
        "them, and their payouts are those of the periods that lie wholly in "
        "one group. All of it follows from sums, not from further runs."
    )
    return parts


def left_out_table(swept: Swept) -> Table:
    """A row per period: what would have been chosen without it, and what that did in it."""
    found = swept.choosing
    assert found is not None
    rows = left_out(found)

    def chosen(row: Mapping[str, Any], by: str) -> Cell:
        return Cell(text=where(swept, int(row[f"{by}_chosen"])))

    return tabulate(
        "periods-left-out",
        rows,
        (
            texts("Period left out", "title"),
            texts("Start", lambda row: day(row["start"])),
            numbers("Holding", "benchmark_return", fraction_cell),
            numbers("Median", "middle", points_cell),
            *(
                field
                for by, said in BY.items()
                for field in (
                    texts(said, lambda row, by=by: chosen(row, by)),
                    numbers("Saved", f"{by}_saved", points_cell),
                )
            ),
            numbers("Best", "best", points_cell),
        ),
        caption=gained_text(found),
        sortable=True,
    )


def left_out(found: Choosing) -> pd.DataFrame:
    """A row per period, with what each way of choosing chose and saved."""
    keys = ["id", "title", "start", "benchmark_return", "middle", "best"]
    table = found.periods.drop_duplicates("id")[keys].set_index("id")
    for by in BY:
        own = found.periods[found.periods["by"] == by].set_index("id")
        table[f"{by}_chosen"] = own["chosen"]
        table[f"{by}_saved"] = own["points_saved"]
    return table.dropna(subset=[f"{by}_chosen" for by in BY]).reset_index()


def gained_text(found: Choosing) -> str:
    """What each way of choosing saved more than the median combination, and how often luck does."""
    said = [
        f"{BY[by]}: {points(one.mean)} points a period above the median ({p_value(one.p_value)})"
        for by, one in found.gained.items()
    ]
    return f"{'; '.join(said)}." if said else ""


def eras_table(swept: Swept) -> Table:
    """A row per quarter of the time, chosen on the other three."""
    found = swept.choosing
    assert found is not None

    def yearly(row: Mapping[str, Any], name: str) -> Cell:
        days = (row["end"] - row["start"]) / pd.Timedelta(days=1)
        return speed_cell(number_cell(row[name], number), days)

    return tabulate(
        "eras-left-out",
        found.eras,
        (
            texts("Quarter left out", lambda row: f"{day(row['start'])} to {day(row['end'])}"),
            texts("Chosen on the rest", lambda row: where(swept, int(row["chosen"])), numeric=True),
            texts("Its Sharpe ratio there", lambda row: yearly(row, "sharpe_ratio"), numeric=True),
            texts("Median", lambda row: yearly(row, "middle"), numeric=True),
            texts("Holding", lambda row: yearly(row, "benchmark"), numeric=True),
            numbers("No better", "rank", lambda share: percent(share, 0)),
        ),
        caption="Sharpe ratios are yearly. No better: the share of combinations that did no better "
        "there than the chosen one.",
    )


def finalists_table(swept: Swept) -> Table:
    """The best of the first half, a row each, and what the second half says of them."""
    found = swept.finalists
    assert found is not None
    days = (found.end - found.start) / pd.Timedelta(days=1)
    spanned = f"{day(found.start)} to {day(found.end)}"
    return tabulate(
        "finalists",
        found.table,
        (
            texts("Best of the first half", lambda row: where(swept, int(row["chosen"]))),
            numbers("Sharpe ratio there", "before", number),
            texts(
                "In the second",
                lambda row: speed_cell(number_cell(row["after"], number), days),
                numeric=True,
            ),
            texts("Growth above holding", lambda row: _grown(row["growth"], days), numeric=True),
            numbers("p (StepM)", "p_value", three_digits),
            numbers("p (best set)", "best_set", three_digits),
        ),
        caption=f"Chosen by the first half alone, run bar by bar from {spanned}. SPA, that any of "
        "them grows more than holding: "
        f"{finalists_facts(found)[_SPA]} (Hansen 2005). StepM: "
        "those at most p are all better, but in a share p of cases (Romano and Wolf 2005). Best "
        "set: those above 0.10 hold the one that grows most, in nine of ten cases (model "
        "confidence set, Hansen, Lunde and Nason 2011).",
    )


def finalists_facts(found: Finalists) -> dict[str, str]:
    """The test of all finalists at once."""
    p, low, high = map(three_digits, (found.consistent, found.lower, found.upper))
    said = f"p = {p}, between {low} and {high}"
    return {_SPA: f"{said} by what poor ones count for"}


def _grown(growth: float, days: float) -> Cell:
    return speed_cell(fraction_cell(float(np.expm1(growth))), days)


def facts_of(found: Choosing) -> dict[str, str]:
    """The figures of halving the time, and of the out-of-sample histories."""
    told = found.overfitting
    assert told is not None
    shown = overfitting_facts(told)
    for name, column, form in (
        ("Sharpe ratios", "sharpe_ratio", number),
        ("Mean payouts a period", "payout", percent),
    ):
        values = found.paths.get(column, pd.Series(dtype=float)).dropna().to_numpy()
        if len(values):
            shown[f"{name} of {len(values)} out-of-sample histories"] = (
                f"{form(float(values.min()))} to {form(float(values.max()))}, median "
                f"{form(float(np.median(values)))}"
            )
    return shown


def overfitting_facts(told: Overfitting) -> dict[str, str]:
    """The figures of halving the time."""
    middle = float(np.median(told.logits))
    return {
        "Ways of halving the time": whole(told.splits),
        "Probability of overfitting (luck alone: 50%)": percent(told.probability),
        "Median rank of the best in the other half": percent(1.0 / (1.0 + np.exp(-middle)), 0),
        "Halves in which it lost money": percent(told.loss),
        "Change of its Sharpe ratio there for one more here": number(told.slope),
    }
