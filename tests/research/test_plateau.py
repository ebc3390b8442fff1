"""Neighbours and plateaus, by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from delever.research.plateau import neighbours_median, terrain


def grid(values: list[float], **axes: list) -> pd.DataFrame:
    rows = list(itertools.product(*axes.values()))
    return pd.DataFrame(rows, columns=list(axes)).assign(sharpe_ratio=values)


SQUARE = [1.0, 2.0, 3.0, 4.0, 9.0, 6.0, 7.0, 8.0, 5.0]
BESIDE = [3.0, 3.0, 4.0, 7.0, 5.0, 5.0, 6.0, 7.0, 7.0]
# medians of {2, 4}, {1, 3, 9}, {2, 6}, {1, 7, 9}, {2, 4, 6, 8}, {3, 5, 9}, {4, 8}, ... by number


def test_a_grid_of_three_by_three_by_hand() -> None:
    frame = grid(SQUARE, weeks=[10, 20, 40], fast=[0.1, 0.2, 0.3])
    assert neighbours_median(frame, ["weeks", "fast"], "sharpe_ratio").tolist() == BESIDE


def test_the_order_of_rows_and_values_does_not_matter() -> None:
    frame = grid(SQUARE, weeks=[10, 20, 40], fast=[0.1, 0.2, 0.3]).assign(beside=BESIDE)
    mixed = frame.sample(frac=1.0, random_state=3)
    found = neighbours_median(mixed, ["fast", "weeks"], "sharpe_ratio")
    assert found.tolist() == mixed["beside"].tolist()


def test_words_and_what_is_given_are_no_steps() -> None:
    frame = grid([1.0, 2.0, 3.0, 10.0, 20.0, 30.0], kind=["ema", "sma"], weeks=[1, 2, 3])
    alone = [2.0, 2.0, 2.0, 20.0, 20.0, 20.0]
    assert neighbours_median(frame, ["kind", "weeks"], "sharpe_ratio").tolist() == alone
    fees = frame.assign(fee=frame["kind"].map({"ema": 0.0, "sma": 0.1})).drop(columns="kind")
    found = neighbours_median(fees, ["fee", "weeks"], "sharpe_ratio", given=["fee"])
    assert found.tolist() == alone
    only = neighbours_median(frame.iloc[::3], ["kind"], "sharpe_ratio")
    assert np.isnan(only).all()


def test_a_neighbour_without_a_result_does_not_count() -> None:
    frame = grid([1.0, math.nan, 3.0, 4.0], weeks=[1, 2, 3, 4])
    found = neighbours_median(frame, ["weeks"], "sharpe_ratio")
    np.testing.assert_array_equal(found, [math.nan, 2.0, 4.0, 3.0])


def test_of_a_sample_the_nearest_by_rank_are_neighbours() -> None:
    # ranks of `x` are 1..5, whatever the distances of its values
    frame = pd.DataFrame(
        {"x": [0.0, 1.0, 10.0, 100.0, 1_000.0], "k": ["a"] * 5, "y": [3.0, 1.0, 2.0, 5.0, 4.0]}
    )
    frame["sharpe_ratio"] = [1.0, 2.0, 3.0, 4.0, 5.0]
    found = neighbours_median(frame.drop(columns="y"), ["x", "k"], "sharpe_ratio")
    # a line of five is a grid, too: two neighbours, at the ends one
    assert found.tolist() == [2.0, 2.0, 3.0, 4.0, 4.0]
    flat = neighbours_median(frame, ["x", "y", "k"], "sharpe_ratio")
    assert flat.tolist() == [3.5, 3.5, 3.0, 2.5, 2.5]  # four neighbours: all the others


def test_points_on_the_same_ranks_are_each_others_neighbours() -> None:
    frame = pd.DataFrame({"x": [1, 1, 1, 2, 3], "sharpe_ratio": [1.0, 5.0, 9.0, 50.0, 60.0]})
    found = neighbours_median(frame, ["x"], "sharpe_ratio")
    assert found[0] == 7.0
    assert found[1] == 5.0
    assert found[2] == 3.0


def test_the_peak_the_plateau_and_whether_the_peak_is_alone() -> None:
    frame = grid([0.1, 0.2, 3.0, 0.1, 0.9, 1.0, 0.9], weeks=[1, 2, 3, 4, 5, 6, 7])
    values = frame["sharpe_ratio"].to_numpy()
    beside = neighbours_median(frame, ["weeks"], "sharpe_ratio")
    found = terrain(values, beside)
    assert found is not None
    assert (found.peak, found.plateau, found.alone) == (2, 5, True)
    smooth = np.array([1.0, 1.4, 1.5, 1.4, 1.0, 0.2, 0.1])
    found = terrain(smooth, np.array([1.4, 1.25, 1.4, 1.25, 0.8, 0.55, 0.2]))
    assert found is not None
    assert (found.peak, found.plateau, found.alone) == (2, 2, False)


@pytest.mark.parametrize("values", [[1.0, 2.0], [1.0, math.nan]])
def test_without_neighbours_nothing_is_said_of_the_peak(values: list[float]) -> None:
    found = terrain(np.array(values), np.full(2, math.nan))
    assert found is not None
    assert found.alone is None
    assert found.plateau == found.peak


def test_without_values_there_is_no_terrain() -> None:
    assert terrain(np.full(3, math.nan), np.full(3, math.nan)) is None
