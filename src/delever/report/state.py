"""The state of a market as tables and as a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from delever.report.format import day, number, percent, price, when
from delever.report.page import render_page
from delever.report.table import Cell, Column, Group, Table, fraction_cell, number_cell
from delever.research.market_state import MarketState
from delever.research.reach import Reach
from delever.signals.features import FEATURES

__all__ = ["headline", "levels_table", "readings_table", "render", "supports_table"]


def headline(state: MarketState) -> str:
    """Say in one line where the market stands.

    Parameters
    ----------
    state : MarketState
        The state.

    Returns
    -------
    str
    """
    phase = (
        f"phase {state.phase.replace('_', ' ')} since {day(state.since)}"
        if state.since is not None
        else "phase unknown: the index of stress has too short a history"
    )
    stress = (
        f"stress above {percent(state.stress, 0)} of its past, on {percent(state.coverage, 0)} of "
        "the weight of its readings"
        if not math.isnan(state.stress)
        else "stress unknown"
    )
    return f"{when(state.time)} UTC, price {price(state.price)}; {phase}; {stress}"


def levels_table(state: MarketState) -> Table:
    """Every level against the price, highest first.

    Parameters
    ----------
    state : MarketState
        The state.

    Returns
    -------
    Table
    """
    return Table(
        id="levels",
        columns=(
            Column(label="level", numeric=False),
            Column(label="price"),
            Column(label="from the price"),
        ),
        rows=tuple(
            (Cell(text=one.name), number_cell(one.price, price), fraction_cell(one.distance))
            for one in state.levels
        ),
        caption="Of swings, cycle highs, Fibonacci ratios and volume nodes the nearest three on "
        "either side. What reads n/a is not known yet.",
    )


def supports_table(state: MarketState) -> Table:
    """The nearest supports and how often the price went as far down.

    Parameters
    ----------
    state : MarketState
        The state.

    Returns
    -------
    Table
    """
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
            Column(label="from the price"),
            Column(label="in ranges", title="average true ranges of 14 bars"),
            Column(label="reached"),
            Column(label="95 % interval"),
            Column(label="reached, alike"),
            Column(label="95 % interval, alike"),
        ),
        rows=tuple(
            (
                Cell(text=one.level.name),
                number_cell(one.level.price, price),
                fraction_cell(one.level.distance),
                number_cell(one.ranges, lambda ranges: number(ranges, 1)),
                *_reached(one.ever),
                *_reached(one.alike),
            )
            for one in state.supports
        ),
        caption="Base rates, whatever stood there, and no forecast. On the left: how often a low "
        "came as many per cent below a close. On the right: only closes in the phase of now count, "
        "and the way is measured in the range of their days, so that calm and wild times compare. "
        "Starts next to each other see the same days; the small number is how many independent "
        "ones they are worth, the interval is for so many, and below five nothing is said.",
    )


def _reached(found: Reach) -> tuple[Cell, Cell]:
    worth = f"{number(found.effective, 0)} starts"
    if math.isnan(found.rate):
        return Cell(text="too few to say", tone="quiet", note=worth), Cell(text="")
    span = f"{percent(found.low, 0)} to {percent(found.high, 0)}"
    return number_cell(found.rate, lambda rate: percent(rate, 0)), Cell(text=span, note=worth)


def readings_table(state: MarketState) -> Table:
    """Every reading of stress beside its past.

    Parameters
    ----------
    state : MarketState
        The state.

    Returns
    -------
    Table
    """
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
                Cell(text=one.feature),
                number_cell(
                    one.value, percent if FEATURES[one.feature].unit == "fraction" else number
                ),
                number_cell(one.percentile, lambda rank: percent(rank, 0)),
                Cell(text=FEATURES[one.feature].meaning, note=f"{one.values:,} bars known"),
            )
            for one in state.readings
        ),
        caption="The percentile is the share of the reading's own past that was lower.",
    )


def render(state: MarketState, *, data: Mapping[str, str], notes: Sequence[str] = ()) -> str:
    """Write the page of a state.

    Parameters
    ----------
    state : MarketState
        The state.
    data : mapping of str to str
        What it was read from.
    notes : sequence of str
        What a reader must know first.

    Returns
    -------
    str
        A whole HTML document that needs no network.
    """
    return render_page(
        "state.html",
        title=f"State of the market, {when(state.time)}",
        headline=headline(state),
        notes=list(notes),
        supports=supports_table(state),
        levels=levels_table(state),
        readings=readings_table(state),
        data=list(data.items()),
        missing=list(state.missing.items()),
    )
