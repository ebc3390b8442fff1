"""Standing against an average, and the exposure a signal asks for."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from delever.signals.sizing import exposure
from delever.signals.trend import above, below

CLOSE = pd.Series([1.0, 3, 3, 2, 1, 1, 3, math.nan, 3])
LINE = pd.Series([math.nan, 2, 2, 2, 2, 2, 2, 2, 2])


def rows(signal: pd.Series) -> list[int]:
    assert signal.dtype == bool
    return signal.to_numpy().nonzero()[0].tolist()


def test_equality_and_the_undefined_are_neither_above_nor_below() -> None:
    assert rows(above(CLOSE, LINE)) == [1, 2, 6, 8]
    assert rows(below(CLOSE, LINE)) == [4, 5]


def test_times_in_a_row() -> None:
    assert rows(above(CLOSE, LINE, times=2)) == [2]
    assert rows(below(CLOSE, LINE, times=2)) == [5]
    assert rows(below(CLOSE, LINE, times=3)) == []


def test_exposure_of_a_signal() -> None:
    signal = pd.Series([True, False, True], index=[4, 5, 6])
    got = exposure(signal, on=0.5, off=-1.0, known=pd.Series([False, True, True], index=[4, 5, 6]))
    np.testing.assert_array_equal(got, [np.nan, -1.0, 0.5])
    assert got.index.equals(signal.index)
    assert exposure(signal).tolist() == [1.0, 0.0, 1.0]
    assert exposure(signal.iloc[:0]).dtype == "float64"
