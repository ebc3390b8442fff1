"""Forward returns, excursions and the choice of distinct events, against loops and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.research.null_markets import simulate_bars
from delever.research.signal.forward import distinct, effective_number, excursions, forward_returns


def test_entry_is_the_next_open_and_exit_the_close_of_the_last_bar_held():
    bars = pd.DataFrame(
        {
            "open": [100.0, 110.0, 90.0, 99.0],
            "high": [112.0, 121.0, 99.0, 120.0],
            "low": [99.0, 88.0, 81.0, 98.0],
            "close": [108.0, 88.0, 99.0, 118.8],
        }
    )
    found = forward_returns(bars, [1, 2])
    assert found[1].tolist()[:3] == pytest.approx([-0.2, 0.1, 0.2])
    assert found[2].tolist()[:2] == pytest.approx([-0.1, 0.32])
    assert found.isna().sum().tolist() == [1, 2]
    swings = excursions(bars, 2)
    assert swings["adverse"].tolist()[:2] == pytest.approx([81 / 110 - 1, -0.1])
    assert swings["favourable"].tolist()[:2] == pytest.approx([0.1, 120 / 90 - 1])
    assert swings.isna().all(axis=1).tolist() == [False, False, True, True]


@settings(max_examples=12)
@given(seed=st.integers(0, 50), horizon=st.integers(1, 40))
def test_what_a_loop_over_the_bars_finds(seed, horizon):
    bars = simulate_bars(60, seed=seed)
    found = forward_returns(bars, [horizon])[horizon].to_numpy()
    swings = excursions(bars, horizon)
    for row in range(60):
        held = bars.iloc[row + 1 : row + 1 + horizon]
        if len(held) < horizon:
            assert np.isnan(found[row])
            assert swings.iloc[row].isna().all()
            continue
        entry = held["open"].iloc[0]
        assert found[row] == pytest.approx(held["close"].iloc[-1] / entry - 1, abs=1e-12)
        expected = [held["low"].min() / entry - 1, held["high"].max() / entry - 1]
        assert swings.iloc[row].tolist() == pytest.approx(expected, abs=1e-12)
        assert swings["adverse"].iloc[row] <= min(found[row], 0) + 1e-12
        assert swings["favourable"].iloc[row] >= max(found[row], 0) - 1e-12


def test_the_future_of_a_bar_never_changes_an_earlier_forward_return():
    bars = simulate_bars(80, seed=3)
    later = bars.copy()
    later.iloc[50:] *= 2.0
    before, after = (forward_returns(b, [10])[10] for b in (bars, later))
    assert before.iloc[:40].equals(after.iloc[:40])
    assert not np.isclose(before.iloc[40], after.iloc[40])


events = st.lists(st.booleans(), min_size=1, max_size=120).map(lambda flags: np.flatnonzero(flags))


@given(rows=events, horizon=st.integers(1, 30))
def test_distinct_events_do_not_overlap_and_leave_no_room_for_another(rows, horizon):
    chosen = distinct(rows, horizon)
    assert set(chosen) <= set(rows)
    assert (np.diff(chosen) >= horizon).all()
    for row in set(rows) - set(chosen):
        assert ((row - horizon < chosen) & (chosen < row)).any()


@given(rows=events, horizon=st.integers(1, 30))
def test_effective_number_is_what_the_variance_of_a_mean_of_overlapping_sums_says(rows, horizon):
    """Bars independent with variance 1: the mean of n sums of h of them, by their weights."""
    found = effective_number(rows, horizon)
    if not len(rows):
        assert found == 0
        return
    weights = np.zeros(200)
    for row in rows:
        weights[row : row + horizon] += 1 / len(rows)
    assert found == pytest.approx(horizon / (weights**2).sum())
    assert 1 - 1e-9 <= found <= len(rows) + 1e-9


@pytest.mark.parametrize("horizons", [[], [0], [1.5], [True], [3, -1]])
def test_horizons_that_are_no_bars_are_refused(horizons):
    with pytest.raises(InputError, match="whole numbers of bars"):
        forward_returns(simulate_bars(5, seed=0), horizons)
