"""What is asked of a signal on top: where a condition holds, varied, how many events it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from delever.arguments import counted
from delever.report.format import (
    day,
    number,
    one_digit,
    percent,
    three_digits,
    whole,
    whole_percent,
)
from delever.report.table import (
    Cell,
    Table,
    fraction_cell,
    interval_cell,
    numbers,
    tabulate,
    texts,
)
from delever.research.signal.robustness import RobustnessMap
from delever.research.signal.study import SignalStudy
from delever.research.signal.study_plan import StudyPlan

_FEW = 3


def condition_table(conditions: pd.DataFrame, bars: int) -> Table:
    """Events with and without each condition."""

    def rose(side: str) -> Any:
        def written(row: Mapping[str, Any]) -> Cell:
            events, hits = int(row[f"{side}_events"]), int(row[f"{side}_rose"])
            note = "" if events > _FEW else "too few to say"
            return Cell(text=f"{hits} of {events}", note=note, tone="quiet" if note else "")

        return written

    return tabulate(
        "conditions",
        conditions,
        (
            texts("Condition", "condition"),
            texts("rose", rose("with"), numeric=True),
            numbers("mean", "with_mean", fraction_cell),
            numbers("all bars", "with_usual", whole_percent, title="after which the price rose"),
            texts("rose", rose("without"), numeric=True),
            numbers("mean", "without_mean", fraction_cell),
            numbers("all bars", "without_usual", whole_percent, title="as before"),
            numbers("unknown", "unknown", whole),
            numbers(
                "p", "p_value", three_digits, title="exact, corrected for the number of conditions"
            ),
            numbers("least", "least", three_digits, title="smallest p that these numbers allow"),
        ),
        groups=(("", 1), ("where it holds", 3), ("where it does not", 3), ("", 3)),
        caption=f"Distinct events and how many rose over {counted(bars, 'bar')}. p: Fisher's exact "
        "test that both rose as often, corrected by Holm's method, and never below the p of the "
        "test that decides. Least: the smallest p that so many events on either side can give, "
        "however they come out; above 5 % nothing could have been found. A condition may matter on "
        "all bars: beside each share stands that of all bars with and without it.",
    )


def sequence_sentence(study: SignalStudy, of: int = 1) -> str:
    """Say what the evidence comes to whenever one looks, for one of so many signals."""
    table, enough = study.sequence, of / study.design.alpha
    if table.empty:
        return (
            "Looked at again and again: no event has enough bars before it to bet on what follows."
        )
    peak = int(table["e_value"].to_numpy().argmax())
    most, last = float(table["e_value"].iloc[peak]), float(table["e_value"].iloc[-1])
    wins = "which is" if most >= enough else "short of"
    return (
        f"Looked at again and again: a stake of 1 on what follows {counted(len(table), 'event')} "
        f"is {number(last)} now and was {number(most)} at most ({day(table['known'].iloc[peak])}), "
        f"{wins} the {number(enough, 0)} that is evidence whenever one stops."
    )


def sequence_parts(study: SignalStudy) -> tuple[str | Table, ...]:
    """The same with its steps, the latest first."""
    beside = "what followed breaks of placebo levels" if len(study.placebos) else "all bars"
    table = tabulate(
        "sequence",
        study.sequence.iloc[::-1],
        (
            texts("Event", lambda row: Cell(text=day(row["time"]), order=day(row["time"]))),
            texts("Known", lambda row: day(row["known"])),
            numbers("Better than", "rank", whole_percent, title="of what it is compared with"),
            numbers("Stake", "e_value", number),
        ),
        limit=10,
        caption="p is for one look; this holds for any number, as data arrive (Ville 1939). Each "
        f"event's return over the deciding horizon is ranked among {beside} whose returns were "
        "known by then, in units of volatility. Where events mean nothing the rank is a half on "
        "average, no way of betting on it wins, and the stake is ever twenty in one case of twenty "
        "at most.",
    )
    return (sequence_sentence(study), table) if len(study.sequence) else (sequence_sentence(study),)


def map_sentence(found: RobustnessMap) -> str:
    """Say whether a find is a point or a plateau."""
    tested = counted(found.tested, "cell")
    if not found.tested:
        return "No cell has enough events to be tested."
    return (
        f"Of {tested} {found.found} differ from chance at {whole_percent(found.alpha)} for all of "
        f"them together; the difference is below zero in {found.below} and above in "
        f"{found.tested - found.below}."
    )


def map_table(found: RobustnessMap, rows: int | None = None) -> Table:
    """Cells of a map, the least likely first."""
    return tabulate(
        "map",
        found.cells.sort_values("p_value").reset_index().head(rows or len(found.cells)),
        (
            texts("Variant", "variant"),
            texts("Market", "symbol"),
            texts("Held", lambda row: counted(int(row["horizon"]), "bar")),
            numbers("Distinct", "distinct", whole),
            numbers("Difference", "adjusted", fraction_cell, title="at equal volatility"),
            texts(
                f"{whole_percent(1 - found.alpha)} interval",
                lambda row: (
                    Cell(text="")
                    if math.isnan(row["low"])
                    else interval_cell(row["low"], row["high"], percent)
                ),
                numeric=True,
            ),
            numbers(
                "p",
                "p_value",
                three_digits,
                title="corrected for all cells, and never below the one that decides",
            ),
        ),
        limit=12,
    )


def plan_sentence(plan: StudyPlan) -> str:
    """Say how many events or coins it takes."""
    effect, share = percent(plan.effect), whole_percent(plan.design.power)
    have = counted(round(plan.distinct), "distinct event")
    if plan.distinct >= plan.events:
        return f"{have} suffice: an effect of {effect} is found in {share} of such samples."
    said = (
        f"An effect of {effect} over {counted(plan.design.decides, 'bar')} is found in {share} of "
        f"samples of {plan.events:,.0f} distinct events; there are {plan.distinct:.0f}. "
    )
    more = plan.more_years
    years = (
        "So far there is no pace to go by."
        if math.isinf(more)
        else f"At the pace so far that takes {counted(math.ceil(more), 'more year')}."
    )
    how = "measured" if plan.measured else "assumed, for one coin is given"
    alike = f"at a correlation of {number(plan.alike)} ({how})"
    if math.isinf(plan.coins):
        most = one_digit(1 / plan.alike)
        coins = f"Other coins do not make up for it: {alike}, however many are worth {most} of one."
    else:
        coins = f"Or, {alike}, {plan.coins:,.0f} coins with a history as long."
    return f"{said}{years} {coins}"


def plan_table(plan: StudyPlan) -> Table:
    """Smallest effect found, by number of events."""
    return tabulate(
        "plan",
        plan.table.reset_index(),
        (
            numbers("Distinct events", "events", whole),
            numbers("Smallest effect", "effect", percent),
            texts("This history", lambda row: "holds fewer" if row["beyond"] else "holds as many"),
        ),
        caption=f"Found in {whole_percent(plan.design.power)} of samples by the test that decides "
        f"a study, at {whole_percent(plan.design.alpha)}: mean of rises and falls planted after "
        "events drawn from where placebo levels break. Such an effect itself makes later events "
        f"rarer or more frequent, which is left out. So far {one_digit(plan.distinct)} distinct "
        f"events in {one_digit(plan.years)} years.",
    )
