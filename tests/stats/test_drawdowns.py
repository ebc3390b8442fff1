"""Drawdowns and times under water, against empyrical, a walk in exact fractions, and by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.stats.drawdowns import (
    deepest_drawdowns,
    drawdown,
    longest_drawdown,
    max_drawdown,
    max_drawdown_length,
    time_to_recover,
)

# Rises and falls that cancel exactly in fractions, so that recoveries to the very peak occur.
MOVES = st.lists(
    st.sampled_from([Fraction(1), Fraction(-1, 2), Fraction(1, 4), Fraction(-1, 5), Fraction(0)]),
    min_size=1,
    max_size=40,
)


def series(values: list[float] | np.ndarray) -> pd.Series:
    index = pd.date_range("2021-01-01", periods=len(values), tz="UTC", unit="ns")
    return pd.Series(values, index=index, dtype=float)


@dataclass
class Stretch:
    peak: int
    depth: Fraction
    troughs: list[int]
    recovery: int | None = None


def walk(moves: list[Fraction]) -> list[Stretch]:
    """Every stretch under water, found by walking the path in exact arithmetic."""
    wealth = top = Fraction(1)
    top_at, found, current = 0, [], None
    for at, move in enumerate(moves, start=1):
        wealth *= 1 + move
        if wealth >= top:
            if current is not None:
                current.recovery = at
                current = None
            top, top_at = wealth, at
            continue
        depth = wealth / top - 1
        if current is None:
            current = Stretch(top_at, depth, [at])
            found.append(current)
        elif depth < current.depth:
            current.depth, current.troughs = depth, [at]
        elif depth == current.depth:
            current.troughs.append(at)
    return found


def length(stretch: Stretch, bars: int) -> int:
    return (bars if stretch.recovery is None else stretch.recovery) - stretch.peak


def test_the_peak_includes_the_starting_wealth() -> None:
    # Equity 1.0, 0.5, 0.55: a worked case of the project's binding definitions.
    assert max_drawdown([-0.5, 0.1]) == -0.5
    assert drawdown(series([-0.5, 0.1])).tolist() == pytest.approx([-0.5, -0.45])


def test_path_equals_empyrical() -> None:
    values = series(np.random.default_rng(5).standard_t(3, 1_000) * 0.03)
    cumulated = empyrical.cum_returns(values, starting_value=1)
    expected = cumulated / cumulated.cummax().clip(lower=1.0) - 1
    assert drawdown(values).to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-12)
    assert max_drawdown(values) == pytest.approx(empyrical.max_drawdown(values), rel=1e-12)


@given(MOVES)
def test_every_length_equals_an_exact_walk(moves: list[Fraction]) -> None:
    returns = [float(move) for move in moves]
    stretches = walk(moves)
    n = len(moves)
    assert longest_drawdown(returns) == max((length(s, n) for s in stretches), default=0)
    if not stretches:
        assert max_drawdown(returns) == 0.0
        assert max_drawdown_length(returns) == 0.0
        assert math.isnan(time_to_recover(returns))
        return
    depth = min(s.depth for s in stretches)
    assert max_drawdown(returns) == pytest.approx(float(depth), rel=1e-12)
    # Rounding may tell equal depths apart, so any of the deepest bars may be taken for the trough.
    deepest = [s for s in stretches if s.depth == depth]
    expected = {
        (length(s, n), math.inf if s.recovery is None else s.recovery - trough)
        for s in deepest
        for trough in s.troughs
    }
    recover = time_to_recover(returns)
    found = (max_drawdown_length(returns), math.inf if math.isnan(recover) else recover)
    assert found in expected


@given(MOVES)
def test_the_table_holds_the_walk(moves: list[Fraction]) -> None:
    returns = series([float(move) for move in moves])
    table = deepest_drawdowns(returns, count=len(moves))
    stretches = walk(moves)
    depths = sorted(float(s.depth) for s in stretches)
    assert table["depth"].tolist() == pytest.approx(depths, rel=1e-9)
    for row in table.sort_values("trough").itertuples():
        exact = stretches.pop(0)
        assert row.start == returns.index[max(exact.peak - 1, 0)]
        assert row.trough in returns.index[[t - 1 for t in exact.troughs]]
        assert row.depth == pytest.approx(float(exact.depth), rel=1e-9)
        assert row.length == length(exact, len(moves))
        if exact.recovery is None:
            assert row.recovery is pd.NaT
            assert math.isnan(row.time_to_recover)
        else:
            assert row.recovery == returns.index[exact.recovery - 1]
            assert row.trough + pd.Timedelta(days=row.time_to_recover) == row.recovery


@given(MOVES)
def test_a_drawdown_is_never_positive_nor_past_ruin(moves: list[Fraction]) -> None:
    path = drawdown(series([float(move) for move in moves]))
    assert ((path <= 0.0) & (path >= -1.0)).all()


@given(MOVES, st.integers(1, 20))
def test_bars_before_the_first_fall_change_nothing(moves: list[Fraction], rises: int) -> None:
    returns = [float(move) for move in moves]
    later = [0.25] * rises + returns
    assert max_drawdown(later) == pytest.approx(max_drawdown(returns), rel=1e-12, abs=1e-12)


def test_lengths_by_hand() -> None:
    #          1.1   0.88  0.99  0.792  0.9504  1.18800  (peak after bar 1, trough after bar 4)
    returns = [0.10, -0.2, 0.125, -0.2, 0.20, 0.25]
    assert max_drawdown(returns) == pytest.approx(0.792 / 1.1 - 1)
    assert max_drawdown_length(returns) == 5.0  # bars 2 to 6
    assert time_to_recover(returns) == 2.0
    assert longest_drawdown(returns) == 5.0


def test_the_deepest_need_not_be_the_longest() -> None:
    returns = [-0.5, 1.0, -0.01, 0.0, 0.0, 0.0]
    assert (max_drawdown_length(returns), time_to_recover(returns)) == (2.0, 1.0)
    assert longest_drawdown(returns) == 4.0


def test_what_has_not_recovered_lasts_to_the_last_bar() -> None:
    returns = [0.1, -0.5, 0.1, 0.1]
    assert max_drawdown_length(returns) == 3.0
    assert math.isnan(time_to_recover(returns))


def test_a_peak_regained_but_for_rounding_is_regained() -> None:
    prices = np.array([13.0, 11.0, 3.0, 13.0])
    returns = prices[1:] / prices[:-1] - 1.0
    assert np.cumprod(1.0 + returns)[-1] < 1.0
    assert time_to_recover(returns) == 1.0
    assert max_drawdown_length(returns) == 3.0
    assert drawdown(series(returns)).iloc[-1] == 0.0


def test_ruin_stays() -> None:
    assert drawdown(series([0.5, -1.0, 0.3])).tolist() == [0.0, -1.0, -1.0]
    assert max_drawdown_length([0.5, -1.0, 0.3]) == 2.0
    assert math.isnan(time_to_recover([0.5, -1.0, 0.3]))


def test_no_fall() -> None:
    assert max_drawdown([0.1, 0.0]) == 0.0
    assert max_drawdown_length([0.1, 0.0]) == 0.0
    assert longest_drawdown([0.1, 0.0]) == 0.0
    assert math.isnan(time_to_recover([0.1, 0.0]))
    assert deepest_drawdowns(series([0.1, 0.0])).empty


def test_no_bars_and_nan_are_undefined() -> None:
    for function in (max_drawdown, max_drawdown_length, time_to_recover, longest_drawdown):
        assert math.isnan(function([]))
        assert math.isnan(function([-0.1, math.nan]))
    assert deepest_drawdowns(series([])).empty


def test_table_by_hand() -> None:
    table = deepest_drawdowns(series([-0.2, 0.25, 0.1, -0.5, -0.1, 0.1]), count=5)
    day = [pd.Timestamp(f"2021-01-0{d}", tz="UTC") for d in range(1, 7)]
    assert table["start"].tolist() == [day[2], day[0]]
    assert table["trough"].tolist() == [day[4], day[0]]
    assert table["recovery"].isna().tolist() == [True, False]
    assert table["recovery"].iloc[1] == day[1]
    assert table["depth"].tolist() == pytest.approx([-0.55, -0.2])
    assert table["length"].tolist() == [3, 2]
    assert table["time_to_recover"].tolist() == pytest.approx([math.nan, 1.0], nan_ok=True)
    assert len(deepest_drawdowns(series([-0.2, 0.25, -0.5]), count=1)) == 1
