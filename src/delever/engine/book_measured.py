"""What accounts of several positions are worth bar by bar, and the sums behind their metrics."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from delever.arguments import Floats
from delever.engine.compiled import compiled, inner
from delever.engine.steps import Ints
from delever.engine.sweep_market import Passing
from delever.engine.sweep_wealth import Line, Wealth, enter, fall, hold, mark, stretch

PIECE = 128
"""Bars measured at once."""


class Way(NamedTuple):
    """What some combinations are worth bar by bar; room that the next ones take over."""

    cash: Floats  # shape (m, n): at each close, all books together
    net: Floats  # shape (m, n): signed notional at each close
    turnover: Floats  # shape (m, n): traded notional per equity, times the equity before
    closed: Floats  # shape (m, n): trades that ended
    equity: Floats  # shape (m, n): cash and net
    lasting: Floats  # shape (m, n): size of the notional, times how long each bar lasts


@inner(inline="always")
def way_of(way: Way, which: int) -> Way:
    """The way of one combination."""
    return Way(
        way.cash[which], way.net[which], way.turnover[which], way.closed[which],
        way.equity[which], way.lasting[which],
    )  # fmt: skip


@inner()
def _one_by_one(
    bars: tuple[int, int], way: Way, passing: Passing, wealth: Wealth, scope: Any, end: Any
) -> Wealth:
    """Measure bars of an account that may have nothing; less than nothing is refused."""
    for bar in range(bars[0], bars[1]):
        beyond = wealth.equity > 0.0 and way.equity[bar] / wealth.equity - 1.0 < -1.0
        if beyond and end.refused < 0.0:
            end.refused, end.excess = bar, way.equity[bar] / wealth.equity - 1.0
        lasting = passing.time[bar + 1] - passing.time[bar]
        wealth = mark(way.equity[bar], way.net[bar], lasting, wealth, scope)
    return wealth


@compiled(nogil=True)
def measure_ways(
    passing: Passing, begins: Ints, cash: float, ways: Way, rows: Ints, ends: Any, scopes: Any,
    sums: Floats,
) -> None:  # fmt: skip
    """From the ways of some combinations to the sums of their scopes and of parts of the bars."""
    for which in range(len(rows)):
        row, begin = rows[which], begins[which]
        way = way_of(ways, which)
        _measure(passing, begin, cash, way, ends[row], scopes[row], sums[row])


@inner()
def _measure(
    passing: Passing, begin: int, cash: float, way: Way, ends: Any, scopes: Any, sums: Floats
) -> None:
    """From the way of a combination to the sums of its scopes and of the parts of the bars."""
    inside, edges, time = passing.inside, passing.edges, begin
    part, closed = np.searchsorted(edges, time, side="right"), 0.0
    wealth = Wealth(cash, cash, cash, 1.0)
    line = Line(0.0, 1.0, way.equity)
    while time < len(inside):
        scope = scopes[inside[time]]
        if time > begin and inside[time] != inside[time - 1]:
            hold(way.net[time - 1], passing.apart[time], wealth, ends)
            wealth = enter(scope, scopes[inside[time - 1]], wealth)
        last = min(time + 1 if time == begin else time + PIECE, passing.other_scope[time])
        last = min(last, edges[part])
        least, most, before, held = np.inf, -np.inf, wealth.equity, 0.0
        for bar in range(time, last):
            way.equity[bar] = way.cash[bar] + way.net[bar]
            least, most = min(least, way.equity[bar]), max(most, way.equity[bar])
            if way.turnover[bar] != 0.0 and before > 0.0:
                scope.turnover += way.turnover[bar] / before
            before = way.equity[bar]
            closed += way.closed[bar]
            lasting = passing.time[bar + 1] - passing.time[bar]
            way.lasting[bar] = abs(way.net[bar]) * lasting
            held += lasting if way.net[bar] != 0.0 else 0.0
        if time == begin or min(least, wealth.equity) <= 0.0:
            wealth = _one_by_one((time, last), way, passing, wealth, scope, ends)
        elif held == 0.0 and least == most == wealth.equity:
            scope.least, scope.most = min(scope.least, 0.0), max(scope.most, 0.0)
        else:
            scope.held += held
            reached = stretch(line, (time, last), way.lasting, scope)
            peak, trough = fall(line, (time, last), reached, wealth.peak, wealth.trough)
            scope.peak, scope.trough = fall(line, (time, last), reached, scope.peak, scope.trough)
            wealth = Wealth(way.equity[last - 1], wealth.begun, peak, trough)
        time = last
        if time == edges[part]:
            sums[part, 0] = scopes[0].gain + scopes[1].gain
            sums[part, 1] = scopes[0].squares + scopes[1].squares
            sums[part, 2], sums[part, 3] = wealth.equity, closed
            part += 1
    enter(scopes[1 - inside[-1]], scopes[inside[-1]], wealth)
    ends.equity, ends.trough = wealth.equity, wealth.trough
