"""A signal study as tables, as one sentence, and as a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from delever.arguments import counted
from delever.report import figures
from delever.report.format import (
    number,
    one_digit,
    percent,
    price,
    three_digits,
    when,
    whole,
    whole_percent,
)
from delever.report.page import block, render_page
from delever.report.pages.ladder_table import ladder_table, rung_title
from delever.report.pages.signal_asides import (
    condition_table,
    map_sentence,
    map_table,
    sequence_parts,
)
from delever.report.table import (
    Cell,
    Table,
    fraction_cell,
    intervals,
    numbers,
    tabulate,
    texts,
    time_cell,
)
from delever.research.signal.event_study import EventStudy
from delever.research.signal.forward import FEWEST_EVENTS
from delever.research.signal.ladder import Ladder
from delever.research.signal.planted import DIRECTIONS
from delever.research.signal.robustness import RobustnessMap
from delever.research.signal.study import SignalStudy

_AGAINST: Final = {
    "all": "all bars",
    "matched": "volatility-matched bars",
    "placebo": "breaks of placebo levels",
}
_AGAINST_SHORT: Final = {"all": "all bars", "matched": "matched bars", "placebo": "placebo breaks"}
_EQUAL_VOLATILITY = "returns scaled by volatility, scaled back"


def headline(study: SignalStudy) -> str:
    """Say what the study may conclude."""
    row, design = study.deciding, study.design
    events = int(study.outcomes.loc[design.decides, "distinct"])  # type: ignore[arg-type]
    if study.verdict == "too few":
        return (
            f"No verdict: {counted(events, 'distinct event')}, and below {FEWEST_EVENTS} nothing "
            "is tested."
        )
    found = (
        f"returns over the {counted(design.decides, 'bar')} after {events} distinct events differ "
        f"from those after {_AGAINST[study.against]} by {percent(row['adjusted'])} at equal "
        f"volatility (interval {percent(row['low'])} to {percent(row['high'])}, "
        f"p = {row['p_value']:.3f}); {_would_be_found(study, events)}"
    )
    match study.verdict:
        case "higher" | "lower":
            return f"Returns are {study.verdict}: {found}."
        case "negligible":
            matters = percent(design.smallest_effect or math.nan)
            return f"No effect of {matters}, the smallest that matters: {found}."
        case _:
            return f"No verdict: {found}."


def _would_be_found(study: SignalStudy, events: int) -> str:
    """What so many events can show."""
    share = whole_percent(study.design.power)
    if math.isnan(study.detectable):
        return "how large an effect would be found was not asked"
    sizes = {
        direction: float(study.power.loc[(direction, 1.0), "effect"])  # type: ignore[arg-type]
        for direction in DIRECTIONS
    }
    found = [f"a {name} of {percent(size)}" for name, size in sizes.items() if math.isfinite(size)]
    never = [f"no {name} however large" for name, size in sizes.items() if math.isinf(size)]
    said = f"{' or '.join(found)} is found in {share} of such samples" if found else ""
    return f"with {events} events {', '.join([part for part in (said, *never) if part])}"


def family_rows(studies: Sequence[SignalStudy], tests: pd.DataFrame) -> pd.DataFrame:
    """What decides each of several signals, a row per signal, with the corrected p-values."""
    rows = []
    for study in studies:
        row, bars = study.deciding, study.design.decides
        rows.append(
            {
                "signal": study.name,
                "distinct": float(study.outcomes.loc[bars, "distinct"]),  # type: ignore[arg-type]
                **{name: row[name] for name in ("adjusted", "low", "high", "p_value")},
                "detectable": study.detectable,
                "verdict": study.verdict,
            }
        )
    return pd.DataFrame(rows).set_index("signal").assign(**{str(p): tests[p].array for p in tests})


def family_headline(studies: Sequence[SignalStudy], tests: pd.DataFrame) -> str:
    """Say which of several signals are found."""
    rows = family_rows(studies, tests)
    found = rows[rows["verdict"].isin(["higher", "lower"])]
    if not len(found):
        return (
            f"None of {counted(len(rows), 'signal')} is found: the smallest p is "
            f"{number(rows['p_value'].min(), 3)}, corrected for their number."
        )
    said = [
        f"{name}: {row['verdict']} by {percent(row['adjusted'])} (p = {number(row['p_value'], 3)})"
        for name, row in found.iterrows()
    ]
    return f"Of {counted(len(rows), 'signal')}, p corrected for their number: {'; '.join(said)}."


def family_table(studies: Sequence[SignalStudy], tests: pd.DataFrame) -> Table:
    """Several signals, a row each."""
    design = studies[0].design
    return tabulate(
        "family",
        family_rows(studies, tests),
        (
            texts("Signal", "signal"),
            texts("Verdict", "verdict"),
            numbers("Distinct", "distinct", whole),
            numbers("Difference", "adjusted", fraction_cell, _EQUAL_VOLATILITY),
            numbers(
                "p (Holm)", "p_value", three_digits, title="corrected for the number of signals"
            ),
            numbers("StepM", "p_stepm", three_digits, title="from the largest on the same shifts"),
            numbers("False", "false_discoveries", three_digits, title="false discovery rate"),
            intervals(1 - design.alpha, "low", "high"),
            numbers("Found if", "detectable", percent, title="smallest effect, after correction"),
        ),
        caption=f"Over {counted(design.decides, 'bar')}, at equal volatility. p after Holm "
        "decides: any of these is at or below 5 % in at most 5 % of families in which there is "
        "nothing. StepM, from all signals on the same circular shifts, says the same with less "
        "loss where they come together (Romano and Wolf 2005). False: the share of those with this "
        "figure or a lower one that are false finds, on average (Benjamini and Hochberg 1995). "
        f"Found if: the smallest effect found in {whole_percent(design.power)} of samples after "
        "correction.",
    )


def own_tables(study: SignalStudy, ladder: Ladder | None, suffix: str) -> list[Table]:
    """The tables of one of several signals on a page, with names of their own."""
    found = [outcome_table(study), comparison_table(study), power_table(study)]
    if ladder is not None:
        found.append(ladder_table(ladder))
    return [replace(table, id=table.id + suffix) for table in found]


def event_headline(study: EventStudy) -> str:
    """Mean cumulated abnormal return of events, and whether it differs from none."""
    first, last = study.window
    row = study.path.iloc[-1]
    said = (
        f"Over bars {first} to {last} after {counted(len(study.events), 'event')} in "
        f"{counted(study.events['cluster'].nunique(), 'cluster')} the mean cumulated abnormal "
        f"return was {percent(study.mean)}"
    )
    if math.isnan(row["adjusted"]):
        return f"{said}; below {FEWEST_EVENTS} clusters nothing is tested."
    said += (
        f", {percent(row['adjusted'])} at equal volatility "
        f"(interval {percent(row['low'])} to {percent(row['high'])}"
    )
    if math.isnan(study.p_value):
        return f"{said}; no test of a window that begins before the event is known)."
    return f"{said}, p = {study.p_value:.3f})."


def outcome_table(study: SignalStudy) -> Table:
    """Distribution of forward returns, a row per horizon."""
    return tabulate(
        "outcomes",
        study.outcomes,
        (
            texts("Held", lambda row: Cell(text=f"{row['horizon']} bars", order=row["horizon"])),
            numbers("Distinct", "distinct", whole, title="whose holding periods do not overlap"),
            numbers("Mean", "mean", fraction_cell),
            numbers("Hit rate", "hit_rate", percent, title="share with a return above 0"),
            intervals(
                1 - study.design.alpha,
                "hit_low",
                "hit_high",
                whole_percent,
                title="of the hit rate, after Wilson",
            ),
            numbers("Events", "events", whole),
            numbers("Effective", "effective", one_digit, "independent holding periods"),
            numbers("Adverse", "adverse", fraction_cell, title="mean of the worst price met"),
            numbers("Favourable", "favourable", fraction_cell, title="mean of the best price met"),
            numbers("Median", "median", fraction_cell),
            numbers("5%", "q05", fraction_cell, title="one event in twenty came out worse"),
            numbers("95%", "q95", fraction_cell, title="one event in twenty came out better"),
        ),
        caption="Bought at the open after the event and held for so many bars. Events whose "
        "holding periods overlap are one cluster: of each market its first counts, and they share "
        "one weight. Effective: independent holding periods with as much to say, markets that move "
        "together counted as far as they do not. "
        "Adverse and favourable are the mean worst and best price met on the way.",
    )


def comparison_table(study: SignalStudy) -> Table:
    """Forward returns beside those of others, a row per horizon and comparison."""
    design = study.design

    def about(row: Mapping[str, Any], text: str, note: str = "") -> Cell:
        decides = (row["horizon"], row["against"]) == (design.decides, study.against)
        return Cell(text=text, note=note, tone="best") if decides else Cell(text=text)

    return tabulate(
        "comparisons",
        study.comparisons,
        (
            texts(
                "Held", lambda row: about(row, f"{row['horizon']} bars", "the verdict rests on it")
            ),
            texts("Beside", lambda row: about(row, _AGAINST_SHORT[row["against"]])),
            numbers("at equal volatility", "adjusted", fraction_cell, _EQUAL_VOLATILITY),
            intervals(1 - design.alpha, "low", "high"),
            numbers(
                "p, corrected",
                "p_value",
                three_digits,
                title="but for the row that decides, whose p needs no correction",
            ),
            numbers("plain", "difference", fraction_cell, title="difference of the means"),
            numbers("Their mean", "mean", fraction_cell),
        ),
        caption="At equal volatility: mean return after the events less that after the others, "
        "with every return in units of its market's volatility; plain: the same as it is. Nothing "
        f"is tested with fewer than {FEWEST_EVENTS} distinct events. p: how often chance alone "
        "gives as large a difference. One row decides, was named beforehand, is marked, and its p "
        "is not corrected. The p of all others is that of the largest of them under the same "
        "chance, and never below the p of the row that decides. Beside all and matched bars, "
        "intervals over long horizons are wider than they need be.",
    )


def _effect(size: float) -> str:
    return percent(size) if math.isfinite(size) else "however much"


def _found(row: Mapping[str, Any]) -> Cell:
    """How often an effect is found; what it leaves too few events of, is not tested."""
    if math.isfinite(row["found"]):
        return Cell(text=whole_percent(row["found"]))
    few = "too few events left" if math.isfinite(row["effect"]) else "too seldom"
    return Cell(text=few, tone="quiet")


def power_table(study: SignalStudy) -> Table:
    """How often effects of some sizes would be found, a row per size and direction."""
    design, rows = study.design, study.power.reset_index()
    if len(rows):  # of an effect without bound there is no half
        rows = rows[np.isfinite(rows["effect"]) | (rows["multiple"] == 1.0)]
    return tabulate(
        "power",
        rows,
        (
            texts("The price", lambda row: f"{row['direction']}s"),
            texts("by", lambda row: _effect(row["effect"]), numeric=True),
            texts("of the smallest", lambda row: f"{row['multiple']:g} times"),
            texts("found in", _found, numeric=True),
        ),
        caption=f"Each effect was planted over the {design.decides} bars after every event of this "
        "history, the rule and its placebos run again on the changed prices, and the test that "
        "decides done on every circular shift of the returns. The smallest detectable effect is "
        f"found in {whole_percent(design.power)} of them; what is estimated below it and still "
        "found looks larger than it is.",
        empty="Nothing is tested with so few events.",
    )


def abnormal_table(study: EventStudy) -> Table:
    """Mean cumulated abnormal return at the end of the window, with its interval."""
    kept = study.events
    row = {
        **study.path.iloc[-1],
        "events": len(kept),
        "clusters": kept["cluster"].nunique(),
        "dropped": len(study.dropped),
    }
    return tabulate(
        "abnormal",
        pd.DataFrame([row]),
        (
            texts("Bars", lambda _: f"{study.window[0]} to {study.window[1]}"),
            numbers("Events", "events", whole),
            numbers("Clusters", "clusters", whole, title="whose windows do not overlap"),
            numbers("Left out", "dropped", whole),
            numbers("Mean", "cumulative", fraction_cell),
            numbers("at equal volatility", "adjusted", fraction_cell, _EQUAL_VOLATILITY),
            intervals(1 - study.alpha, "low", "high"),
        ),
        caption="Returns of the bars added up, less what is normal: the "
        + ("mean" if study.model == "mean" else "line through the benchmark's returns")
        + " over all bars. At equal volatility: less that of what the events are compared with. "
        "The test that decides stands above; here is none of its own.",
    )


def event_table(study: SignalStudy) -> Table:
    """Every event, the latest first."""
    decides = study.design.decides
    return tabulate(
        "events",
        study.events.iloc[::-1],
        (
            texts("Bar", lambda row: time_cell(row["time"])),
            texts("Market", "symbol"),
            numbers("Level", "level", price),
            numbers("Close", "close", price),
            *(numbers(f"{bars} bars", bars, fraction_cell) for bars in study.design.horizons),
            numbers("Adverse", "adverse", fraction_cell, title=f"within {decides} bars"),
            texts(
                "Counted",
                lambda row: "yes" if row["counted"] else "no",
                title=f"over {decides} bars",
            ),
        ),
        sortable=True,
        limit=20,
        empty="There is none.",
    )


def charts(
    study: SignalStudy,
    ladder: Ladder | None,
    abnormal: EventStudy | None,
    robustness: RobustnessMap | None = None,
) -> dict[str, figures.Chart]:
    """Every figure of the page, by name; a curve per further level is called ``rung`` and it."""
    drawn = {}
    decides = study.design.decides
    means = study.placebos[study.placebos["horizon"] == decides]["mean"]
    if means.notna().any():
        actual = float(study.outcomes.loc[decides, "mean"])  # type: ignore[arg-type]
        drawn["placebos"] = figures.placebo_means(means, actual, study.placebo_rank)
    if ladder is not None:
        for rung in ladder.rungs:
            drawn[f"rung {rung!r}"] = figures.rung_curves(
                ladder.curve(rung), rung, rung_title(ladder, rung)
            )
    if abnormal is not None:
        drawn["abnormal"] = figures.abnormal_path(abnormal.path, abnormal.alpha)
    if robustness is not None:
        drawn["map"] = figures.robustness_map(robustness.cells, robustness.alpha)
    return drawn


def render(
    study: SignalStudy,
    ladder: Ladder | None,
    abnormal: EventStudy | None,
    *,
    data: Sequence[str],
    notes: Sequence[str],
    conditions: pd.DataFrame | None = None,
    robustness: RobustnessMap | None = None,
) -> str:
    """Write the page of a signal study."""
    drawn = charts(study, ladder, abnormal, robustness)
    placebos, path = drawn.pop("placebos", None), drawn.pop("abnormal", None)
    varied = drawn.pop("map", None)
    bars = study.design.decides
    holding = None if conditions is None else condition_table(conditions, bars)
    mapped = [] if robustness is None else [map_sentence(robustness), map_table(robustness), varied]
    return render_page(
        title=f"{study.name} - signal study",
        name=study.name,
        span=f"{when(study.start)} to {when(study.end)} UTC, {', '.join(study.symbols)}, "
        f"{study.timeframe}",
        headline=headline(study),
        chip=study.verdict,
        notes=notes,
        blocks=[
            block("after", "What came after", outcome_table(study)),
            block(
                "beside",
                "Beside others",
                comparison_table(study),
                "The signal is no break of a level, so there are no placebo levels."
                if placebos is None
                else block("", placebos.title, placebos),
            ),
            block("power", "What would have been found", power_table(study)),
            block("sequence", "Looked at again and again", *sequence_parts(study)),
            block(
                "further",
                "Further levels",
                "There is no way to further levels to follow."
                if ladder is None
                else ladder_table(ladder),
                *(block("", each.title, each, half=True) for each in drawn.values()),
            ),
            block(
                "beyond",
                "Abnormal returns",
                "No event could be used; the notes say why."
                if abnormal is None
                else abnormal_table(abnormal),
                path,
            ),
            block("conditions", "Where a condition holds", holding),
            block("map", "The signal varied", *mapped),
            block("each", "Events", event_table(study)),
            block("asked", "What was asked", _asked(study, data)),
        ],
    )


def _asked(study: SignalStudy, data: Sequence[str]) -> dict[str, str]:
    design = study.design
    matters = design.smallest_effect
    return {
        "data": "; ".join(data),
        "horizons": ", ".join(map(str, design.horizons)),
        "decides": f"{design.decides} bars, beside {_AGAINST[study.against]}",
        "placebo levels": f"{design.draws}, within {design.placebo_distance:g} in logarithms",
        "level and power": f"{design.alpha:g}, {design.power:g}",
        "smallest effect that matters": "not said" if matters is None else percent(matters),
        "seed": str(design.seed),
    }
