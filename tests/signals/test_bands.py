"""A level is held from its entry until a close beyond its band."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.errors import InputError
from delever.signals.bands import held_level

NAN = float("nan")


def hold(
    closes: list[float], enters: list[int], *, level: float = 10.0, below: float, above: float
) -> list[float]:
    close = pd.Series(closes)
    enter = pd.Series([row in enters for row in range(len(closes))])
    line = pd.Series(level, index=close.index)
    return held_level(close, enter, line, below=below, above=above).tolist()


def test_the_edges_of_the_band_are_inside_it() -> None:
    np.testing.assert_array_equal(
        hold([10, 8, 15, 7.9, 10], [0], below=0.2, above=0.5), [10, 10, 10, NAN, NAN]
    )
    np.testing.assert_array_equal(hold([10, 15.1], [0], below=0.2, above=0.5), [10, NAN])


def test_an_entry_outside_the_band_is_held_for_its_own_row() -> None:
    np.testing.assert_array_equal(hold([20, 20], [0], below=0.2, above=0.5), [10, NAN])


def test_a_row_that_leaves_does_not_enter_again() -> None:
    np.testing.assert_array_equal(
        hold([10, 1, 10, 10], [0, 1, 3], below=0.5, above=1.0), [10, NAN, NAN, 10]
    )


def test_open_ends() -> None:
    np.testing.assert_array_equal(
        hold([10, 1e-9, 1e9], [0], below=1.0, above=float("inf")), [10, 10, 10]
    )


@pytest.mark.parametrize(("below", "above"), [(-0.1, 1.0), (1.1, 1.0), (0.5, -0.1)])
def test_a_band_is_in_order(below: float, above: float) -> None:
    with pytest.raises(InputError, match="a band needs below"):
        hold([10.0], [0], below=below, above=above)


@given(
    closes=st.lists(st.floats(1.0, 20.0), min_size=2, max_size=30),
    seed=st.integers(0, 1_000),
    cut=st.integers(1, 29),
)
def test_the_future_changes_nothing(closes: list[float], seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    close = pd.Series(closes)
    enter = pd.Series(rng.random(len(closes)) < 0.3)
    whole = held_level(close, enter, close, below=0.1, above=0.2)
    part = held_level(close[:cut], enter[:cut], close[:cut], below=0.1, above=0.2)
    pd.testing.assert_series_equal(whole[:cut], part)
