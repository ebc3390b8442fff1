"""The state of a market as tables and as a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from delever.report.format import (
    NOT_AVAILABLE,
    day,
    interval,
    number,
    one_digit,
    percent,
    price,
    when,
    whole,
    whole_percent,
)
from delever.report.page import Tile, block, render_page
from delever.report.table import Cell, Table, listed, number_cell, numbers, tabulate, texts
from delever.research.base_rates import BaseRate
from delever.research.state import MarketState
from delever.signals.features import FEATURES

PHASES: Final = {
    "calm": "nothing unusual",
    "build_up": "leverage is building up",
    "cascade": "forced selling",
    "washout": "the selling has dried up",
    "recovery": "stress is gone, the fall not won back",
}
"""The phases of `delever.deleveraging.phase_machine`, in words."""


def headline(state: MarketState) -> str:
    """Say in one line where the market stands."""
    phase = (
        f"phase {state.phase.replace('_', ' ')} ({PHASES[state.phase]}) since {day(state.since)}"
        if state.since is not None
        else "phase unknown: the index of stress has too short a history"
    )
    stress = (
        f"{_share(state.stress)} of its past had less stress, on {whole_percent(state.coverage)} "
        "of the weight of its readings"
        if not math.isnan(state.stress)
        else "stress unknown"
    )
    return f"{when(state.time)} UTC, price {price(state.price)}; {phase}; {stress}"


def _share(rank: float) -> str:
    """A rank in per cent that never says all or nothing."""
    if rank > 0.99:
        return "over 99%"
    return "under 1%" if rank < 0.01 else whole_percent(rank)


def _tiles(state: MarketState) -> list[Tile]:
    nearest = state.supports[0].level if state.supports else None
    return [
        Tile(label="Price", value=price(state.price), beside=f"{when(state.time)} UTC"),
        Tile(
            label="Phase",
            value=state.phase.replace("_", " ") or NOT_AVAILABLE,
            beside=PHASES.get(state.phase, "too short a history"),
        ),
        Tile(
            label="Past with less stress",
            value=NOT_AVAILABLE if math.isnan(state.stress) else _share(state.stress),
            beside=f"{whole_percent(state.coverage)} of the readings' weight is known",
        ),
        Tile(
            label="Next support",
            value=NOT_AVAILABLE if nearest is None else price(nearest.price),
            beside="none known"
            if nearest is None
            else f"{percent(nearest.distance)}, {nearest.name}",
        ),
    ]


def levels_table(state: MarketState) -> Table:
    """Every level and the price among them, highest first."""
    rows = [
        (Cell(text=one.name), number_cell(one.price, price), number_cell(one.distance, percent))
        for one in state.levels
    ]
    place = sum(one.price >= state.price for one in state.levels)
    now = ("the price now", price(state.price), "")
    rows.insert(place, tuple(Cell(text=text, tone="best") for text in now))  # type: ignore[arg-type]
    return listed(
        "levels",
        ("level", "price", "from the price"),
        rows,
        caption="Of swings, cycle highs, Fibonacci ratios and volume nodes the nearest three on "
        "either side. What reads n/a is not known yet.",
    )


def supports_table(state: MarketState) -> Table:
    """The nearest supports and how often the price went as far down."""
    phase = state.phase.replace("_", " ") or "this phase"
    return tabulate(
        "supports",
        state.supports,
        (
            texts("support", "level.name"),
            numbers("price", "level.price", price),
            numbers("away", "level.distance", percent),
            numbers("in ranges", "ranges", one_digit, "average true ranges of 14 bars"),
            texts("reached", lambda one: _rate(one.unconditional), numeric=True),
            texts("95% interval", lambda one: _interval(one.unconditional), numeric=True),
            texts("reached, same phase", lambda one: _rate(one.same_phase), numeric=True),
            texts("95% interval, same phase", lambda one: _interval(one.same_phase), numeric=True),
        ),
        groups=(
            ("", 4),
            (f"within {state.days} days, from any past close", 2),
            (f"from past closes in the phase {phase}, by ranges", 2),
        ),
        caption="Base rates, whatever stood there, and no forecast. On the left: how often a low "
        "came as many per cent below a close. On the right: only closes in the phase of now count, "
        "and the distance is measured in the range of their days, so that calm and wild times "
        "compare. Starts next to each other see the same days; the small number is the effective "
        "number of independent starts, which the interval is for; below five nothing is said.",
        empty="No level is known below the price.",
    )


def _rate(found: BaseRate) -> Cell:
    if math.isnan(found.rate):
        return Cell(text="too few to say", tone="quiet", note=_starts(found))
    return number_cell(found.rate, whole_percent)


def _interval(found: BaseRate) -> Cell:
    if math.isnan(found.rate):
        return Cell(text="")
    return Cell(text=interval(found.low, found.high, whole_percent), note=_starts(found))


def _starts(found: BaseRate) -> str:
    return f"{whole(found.effective)} starts"


def readings_table(state: MarketState) -> Table:
    """Every reading of stress beside its past."""
    return tabulate(
        "readings",
        state.readings,
        (
            texts(
                "reading", lambda one: Cell(text=one.feature.replace("_", " "), title=one.feature)
            ),
            texts(
                "value",
                lambda one: number_cell(one.value, partial(_value, name=one.feature)),
                numeric=True,
            ),
            numbers("percentile", "percentile", _gauge),
            texts(
                "meaning",
                lambda one: Cell(
                    text=FEATURES[one.feature].title(), title=f"{one.values:,} bars known"
                ),
            ),
        ),
        caption="The percentile is the share of the reading's own past that was lower: a reading "
        "at either end is rare, whatever its unit.",
    )


def _gauge(rank: float) -> Cell:
    return Cell(text=whole_percent(rank), order=rank, gauge=True)


def _value(value: float, name: str) -> str:
    unit = FEATURES[name].unit
    if unit == "fraction":
        return percent(value, 1 if abs(value) >= 0.01 else 3)
    return number(value, 0 if unit in ("days", "count") else 2)


def render(state: MarketState, *, data: Mapping[str, str], notes: Sequence[str] = ()) -> str:
    """Write the page of a state."""
    missing = block("", "Missing", state.missing) if state.missing else None
    return render_page(
        title=f"State of the market, {when(state.time)}",
        span=headline(state),
        tiles=_tiles(state),
        notes=notes,
        blocks=[
            block("below", "Nearest supports", supports_table(state), link="Supports"),
            block("all", "Levels", levels_table(state)),
            block("stress", "Stress", readings_table(state)),
            block("origin", "Data", data, missing),
        ],
    )
