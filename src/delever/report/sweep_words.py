"""What a sweep came to in sentences and short tables, the same on a page and in a terminal."""

from __future__ import annotations

import math
import re

import pandas as pd

from delever.arguments import counted
from delever.report.answer_words import p_value
from delever.report.figures.sweep_figures import setting_text, short
from delever.report.format import (
    number,
    of_years,
    percent,
    points,
    short_span,
    speed,
    value,
)
from delever.research.answer import LEVEL
from delever.research.choosing import Choosing, Gained
from delever.research.deflation import LEAST_BARS, Deflation
from delever.research.swept import NEIGHBOURS, RANKED_BY, Swept
from delever.stats.metrics import find

COMPARED = (
    RANKED_BY,
    NEIGHBOURS,
    "total_return",
    "cagr",
    "max_drawdown",
    "inside_total_return",
    "trades",
    "liquidations",
    "days",
)
"""Rows of the table that puts the best beside the benchmark."""

_DIGITS = re.compile(r"\d[\d,.:-]*")


def headline(swept: Swept) -> str:
    """The best beside the benchmark, and whether it is luck, in one sentence."""
    frame, found = swept.frame, swept.terrain
    if found is None:
        return f"None of {len(frame):,} combinations has a Sharpe ratio."
    name = held = ""
    if swept.benchmark is not None:
        name = str(swept.benchmark.name)
        held = f", {name} over the same bars {number(swept.benchmark[RANKED_BY])}"
    judged = []
    if swept.deflation is None:
        judged.append(
            f"fewer than {LEAST_BARS} bars, or too few results that vary, do not tell how much of "
            f"it is the luck of {swept.n_trials:,} trials"
        )
    else:
        judged.append(verdict(swept.deflation, name))
    if (saved := _gained(swept)) is not None:
        better = saved.mean > 0.0 and saved.p_value <= LEVEL
        judged.append(f"choosing was {'better' if better else 'no better'} than chance")
    return (
        f"The best of {among(swept)}, at {where(swept, found.peak)}, has a Sharpe "
        f"ratio of {number(frame[RANKED_BY].iloc[found.peak])}"
        f"{of_years(swept.days.iloc[found.peak])}{held}: {', and '.join(judged)}."
    )


def among(swept: Swept) -> str:
    """How many combinations were ranked, and how many had nothing to be ranked by."""
    ranked = int(swept.frame[RANKED_BY].notna().sum())
    rest = len(swept.frame) - ranked
    return counted(ranked, "combination") + (f" ({rest:,} without a result)" if rest else "")


def grounds(swept: Swept) -> list[str]:
    """What the headline rests on: trials, neighbours, and choosing on part of the time."""
    if swept.terrain is None:
        return []
    said = [_stands(swept)]
    if swept.deflation is not None:
        name = "" if swept.benchmark is None else str(swept.benchmark.name)
        said.insert(0, luck(swept.deflation, name))
    if swept.choosing is not None and "sharpe_ratio" in swept.choosing.gained:
        said.append(_left_out(swept.choosing))
    return said


def luck(found: Deflation, benchmark: str) -> str:
    """What the best of as many worthless trials would show."""
    said = (
        f"Of {trials(found.effective)} of a worthless rule (true Sharpe ratio 0) the best would "
        f"look as good in {cases(found.chance)} of cases"
    )
    if found.above > 0.0 and not math.isnan(found.chance_above):
        said += (
            f"; of as many no better than {benchmark} it would stand as far above it in "
            f"{cases(found.chance_above)}"
        )
    return f"{said}."


def verdict(found: Deflation, benchmark: str) -> str:
    """What luck explains, in a few words."""
    if found.chance >= LEVEL:
        return "luck explains it"
    if found.above <= 0.0:
        return f"more than luck, but no more than {benchmark} had"
    if found.chance_above >= LEVEL:
        return f"luck explains what it has above {benchmark}"
    return "more than luck"


def family_facts(swept: Swept) -> dict[str, str]:
    """How the combinations stand above the benchmark, all of them judged at once."""
    found = swept.deflation
    if found is None or swept.benchmark is None or math.isnan(found.chance_above):
        return {}
    benchmark = str(swept.benchmark.name)
    tests = (
        ("Sharpe ratio", found.better, found.family_above),
        ("growth", found.better_growth, found.family_growth),
    )
    return {
        f"The best of as many no better than {benchmark} stands as far above it in": (
            f"{cases(found.chance_above)} of cases"
        ),
        **{
            f"Combinations above {benchmark} by {what}": (
                f"{many:,} of {found.among:,} (that any is: {p_value(least)})"
            )
            for what, many, least in tests
        },
    }


def cases(chance: float) -> str:
    """Write a probability as a share of cases."""
    return "less than 0.1%" if chance < 0.001 else percent(chance)


def trials(effective: float) -> str:
    """Write an effective number of trials."""
    shown = number(effective, 0 if effective >= 9.95 else 1).removesuffix(".0")
    return "one effective trial" if shown == "1" else f"{shown} effective trials"


def _stands(swept: Swept) -> str:
    """Whether the peak stands alone, and where the best plateau is."""
    frame, found = swept.frame, swept.terrain
    assert found is not None
    beside = frame[NEIGHBOURS].iloc[found.peak]
    if found.alone is None:
        return "It has no neighbours to tell a plateau from a peak."
    alone = "It stands alone" if found.alone else "It stands on a plateau"
    said = f"{alone}: the median of its neighbours is {number(beside)}"
    if found.plateau == found.peak:
        return f"{said}; no other combination has a higher plateau."
    own, around = (frame[name].iloc[found.plateau] for name in (RANKED_BY, NEIGHBOURS))
    return (
        f"{said}. The best plateau is at {where(swept, found.plateau)}: {number(own)}, its "
        f"neighbours {number(around)}."
    )


def _gained(swept: Swept) -> Gained | None:
    """What the best, chosen without a period, saved in it; None where no period was left out."""
    return None if swept.choosing is None else swept.choosing.gained.get("sharpe_ratio")


def _left_out(found: Choosing) -> str:
    """What choosing came to where it had no say."""
    saved = found.gained["sharpe_ratio"]
    said = (
        f"Chosen without a period, the best Sharpe ratio saved {points(saved.mean)} points in it "
        f"beside the median combination ({p_value(saved.p_value)})"
    )
    if found.overfitting is not None:
        share = percent(found.overfitting.probability, 0)
        said += (
            f"; the best of one half of the time was below the middle of the other in {share} of "
            "splits (luck alone: 50%)"
        )
    return f"{said}."


def where(swept: Swept, row: int) -> str:
    """Write the values of the axes that vary, of one combination."""
    frame = swept.frame
    varied = [axis for axis in swept.axes if frame[axis].nunique() > 1] or list(swept.axes)
    return ", ".join(f"{short(axis)} {setting_text(frame[axis].iloc[row])}" for axis in varied)


def label(column: str) -> str:
    """Name of a column of metrics as pages and tables show it."""
    if column == NEIGHBOURS:
        return "Neighbours' Sharpe"
    for scope in ("inside", "outside"):
        if column.startswith(f"{scope}_"):
            return f"{find(column.removeprefix(f'{scope}_')).label} {scope}"
    return "Liquidations" if column == "liquidations" else find(column).label


def unit(column: str) -> str:
    """Unit of a column of metrics."""
    if column == "liquidations":
        return "count"
    name = RANKED_BY if column == NEIGHBOURS else column
    return find(name.removeprefix("inside_").removeprefix("outside_")).unit


def text(amount: float, column: str, days: float) -> str:
    """A number of a column of metrics as pages and tables show it, of a run of so many days."""
    said = value(float(amount), unit(column))
    return speed(said, float(days)) if _yearly(column) else said


def _yearly(column: str) -> bool:
    """Whether a column says what a year of such bars would come to."""
    if column == "liquidations":
        return False
    name = RANKED_BY if column == NEIGHBOURS else column
    return find(name.removeprefix("inside_").removeprefix("outside_")).yearly


def notes(swept: Swept) -> list[str]:
    """What a reader must know before comparing combinations."""
    frame, found = swept.frame, swept.terrain
    said = [] if found is None else short_span(float(swept.days.iloc[found.peak]))
    if found is not None and frame["total_return"].iloc[found.peak] <= -1.0:
        said.append(
            "the combination with the best Sharpe ratio lost everything: a mean of returns does "
            "not see ruin, so rank by another figure"
        )
    if swept.asked > len(frame):
        said.append(
            f"{swept.asked:,} combinations were asked for, {len(frame):,} are distinct; each was "
            "run once"
        )
    starts = frame["start"].dropna()
    if starts.nunique() > 1:
        said.append(
            f"combinations begin on different bars, from {starts.min():%Y-%m-%d} to "
            f"{starts.max():%Y-%m-%d}, each when its own warm-up ends; give the study a start to "
            "compare them over one span"
        )
    first = decisions(frame)
    late = first[first >= frame["start"].reindex(first.index)]
    if len(late):
        said.append(
            f"{counted(len(late), 'combination')} first "
            f"{'decides' if len(late) == 1 else 'decide'} after the start, the last on "
            f"{late.max():%Y-%m-%d}; until then each is flat for want of history, which is no "
            "performance"
        )
    for column, one, rest in (
        ("liquidations", "was liquidated", "were liquidated, {total:,.0f} times in all"),
        (
            "below_a_lot",
            "decided for less than one lot and held nothing then",
            "decided for less than one lot, {total:,.0f} times in all, and held nothing then",
        ),
    ):
        many = frame.get(column, pd.Series(dtype="float64"))
        if affected := int((many > 0).sum()):
            words = one if many.sum() == 1 else rest.format(total=many.sum())
            said.append(f"{affected:,} of {counted(len(frame), 'combination')} {words}")
    failed = int((frame["error"] != "").sum())
    if failed:
        said.append(f"{counted(failed, 'combination')} without a result; the reasons stand below")
    return said


def decisions(frame: pd.DataFrame) -> pd.Series:
    """When each combination first decides; empty where none begins later or waits for it."""
    if "first_decision" not in frame:  # of an older sweep
        return pd.Series(dtype="datetime64[ns, UTC]")
    first, starts = frame["first_decision"], frame["start"]
    return first if starts.nunique() > 1 or (first >= starts).any() else first.iloc[:0]


def compared(swept: Swept) -> pd.DataFrame:
    """The best, the best plateau and the benchmark, a column each; empty where there is no best."""
    found = swept.terrain
    if found is None:
        return pd.DataFrame()
    names = [name for name in COMPARED if name in swept.frame]
    columns = {"best": swept.frame.iloc[found.peak]}
    if found.plateau != found.peak:
        columns["best plateau"] = swept.frame.iloc[found.plateau]
    if swept.benchmark is not None:
        columns[str(swept.benchmark.name)] = swept.benchmark
    return pd.DataFrame({name: row.reindex(names) for name, row in columns.items()}, dtype=float)


def reasons(frame: pd.DataFrame) -> pd.DataFrame:
    """Why combinations have no result: a row per reason, how many have it, the first of them.

    Reasons that differ in their numbers alone are one; so are those of combinations that never
    held anything, and so have no Sharpe ratio.
    """
    flat = "its returns never vary, so it has no Sharpe ratio: it never held anything"
    without = (frame["error"] == "") & frame[RANKED_BY].isna()
    said = frame["error"].mask(without, flat)
    if "below_a_lot" in frame:
        said = said.mask(
            without & (frame["below_a_lot"] > 0),
            f"{flat}, for each of its decisions was below one lot",
        )
    said = said[said != ""]
    kinds = said.str.replace(_DIGITS, "#", regex=True)
    groups = said.groupby(kinds, sort=False)
    found = groups.agg(["first", "size"]).sort_values("size", ascending=False, kind="stable")
    return pd.DataFrame(
        {"combinations": found["size"].to_numpy(dtype=int)},
        index=pd.Index(found["first"].tolist(), name="reason", dtype=object),
    )
