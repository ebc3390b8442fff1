"""The state of a market as tables and as a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from delever.report.format import NOT_AVAILABLE, day, number, percent, price, when
from delever.report.page import render_page
from delever.report.table import Cell, Column, Group, Table, number_cell
from delever.research.base_rates import BaseRate
from delever.research.state import MarketState
from delever.signals.features import FEATURES

__all__ = ["PHASES", "headline", "levels_table", "readings_table", "render", "supports_table"]


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
        f"{_share(state.stress)} of its past had less stress, on {percent(state.coverage, 0)} of "
        "the weight of its readings"
        if not math.isnan(state.stress)
        else "stress unknown"
    )
    return f"{when(state.time)} UTC, price {price(state.price)}; {phase}; {stress}"


def _share(rank: float) -> str:
    """A rank in per cent that never says all or nothing."""
    if rank > 0.99:
        return "over 99%"
    return "under 1%" if rank < 0.01 else percent(rank, 0)


def _tiles(state: MarketState) -> list[tuple[str, str, str]]:
    """Label, figure, and what stands beside it."""
    phase = state.phase.replace("_", " ")
    nearest = state.supports[0].level if state.supports else None
    return [
        ("Price", price(state.price), f"{when(state.time)} UTC"),
        ("Phase", phase or NOT_AVAILABLE, PHASES.get(state.phase, "too short a history")),
        (
            "Past with less stress",
            NOT_AVAILABLE if math.isnan(state.stress) else _share(state.stress),
            f"{percent(state.coverage, 0)} of the readings' weight is known",
        ),
        (
            "Next support",
            NOT_AVAILABLE if nearest is None else price(nearest.price),
            "none known" if nearest is None else f"{percent(nearest.distance)}, {nearest.name}",
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
    return Table(
        id="levels",
        columns=(
            Column(label="level", numeric=False),
            Column(label="price"),
            Column(label="from the price"),
        ),
        rows=tuple(rows),
        caption="Of swings, cycle highs, Fibonacci ratios and volume nodes the nearest three on "
        "either side. What reads n/a is not known yet.",
    )


def supports_table(state: MarketState) -> Table:
    """The nearest supports and how often the price went as far down."""
    phase = state.phase.replace("_", " ") or "this phase"
    return Table(
        id="supports",
        groups=(
            Group(label="", width=4),
            Group(label=f"within {state.days} days, from any past close", width=2),
            Group(label=f"from past closes in the phase {phase}, by ranges", width=2),
        ),
        columns=(
            Column(label="support", numeric=False),
            Column(label="price"),
            Column(label="away"),
            Column(label="in ranges", title="average true ranges of 14 bars"),
            Column(label="reached"),
            Column(label="95% interval"),
            Column(label="reached, alike"),
            Column(label="95% interval, alike"),
        ),
        rows=tuple(
            (
                Cell(text=one.level.name),
                number_cell(one.level.price, price),
                number_cell(one.level.distance, percent),
                number_cell(one.ranges, lambda ranges: number(ranges, 1)),
                *_reached(one.unconditional),
                *_reached(one.same_phase),
            )
            for one in state.supports
        ),
        caption="Base rates, whatever stood there, and no forecast. On the left: how often a low "
        "came as many per cent below a close. On the right: only closes in the phase of now count, "
        "and the way is measured in the range of their days, so that calm and wild times compare. "
        "Starts next to each other see the same days; the small number is how many independent "
        "ones they are worth, the interval is for so many, and below five nothing is said.",
    )


def _reached(found: BaseRate) -> tuple[Cell, Cell]:
    worth = f"{number(found.effective, 0)} starts"
    if math.isnan(found.rate):
        return Cell(text="too few to say", tone="quiet", note=worth), Cell(text="")
    span = f"{percent(found.low, 0)} to {percent(found.high, 0)}"
    return number_cell(found.rate, lambda rate: percent(rate, 0)), Cell(text=span, note=worth)


def readings_table(state: MarketState) -> Table:
    """Every reading of stress beside its past."""
    return Table(
        id="readings",
        columns=(
            Column(label="reading", numeric=False),
            Column(label="value"),
            Column(label="percentile"),
            Column(label="meaning", numeric=False),
        ),
        rows=tuple(
            (
                Cell(text=one.feature.replace("_", " "), title=one.feature),
                number_cell(one.value, lambda value, one=one: _value(value, one.feature)),  # type: ignore[misc]
                number_cell(one.percentile, lambda rank: percent(rank, 0)),
                Cell(text=FEATURES[one.feature].meaning, title=f"{one.values:,} bars known"),
            )
            for one in state.readings
        ),
        caption="The percentile is the share of the reading's own past that was lower: a reading "
        "at either end is rare, whatever its unit.",
    )


def _value(value: float, name: str) -> str:
    unit = FEATURES[name].unit
    if unit == "fraction":
        return percent(value, 1 if abs(value) >= 0.01 else 3)
    return number(value, 0 if unit in ("days", "count") else 2)


def render(state: MarketState, *, data: Mapping[str, str], notes: Sequence[str] = ()) -> str:
    """Write the page of a state."""
    return render_page(
        "state.html",
        title=f"State of the market, {when(state.time)}",
        headline=headline(state),
        tiles=_tiles(state),
        notes=list(notes),
        supports=supports_table(state),
        levels=levels_table(state),
        readings=readings_table(state),
        data=list(data.items()),
        missing=list(state.missing.items()),
    )
