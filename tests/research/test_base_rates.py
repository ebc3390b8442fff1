"""How often a fall was reached, by hand and on starts that overlap."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError
from delever.research.base_rates import fall_rates
from delever.stats.intervals import wilson_interval


def flat(lows: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"low": lows, "close": [10.0] * len(lows)})


def test_reach_by_hand() -> None:
    bars = flat([10, 8, 9, 9.5, 7, 10, 10, 10, 8, 10, 10, 10])
    # One bar ahead, a fifth below 10: from bars 0, 3 and 7 of the eleven that have a next one.
    one, two = fall_rates(bars, [0.2, 0.3], 1)
    assert (one.rate, one.effective) == (pytest.approx(3 / 11), 11)
    assert (one.low, one.high) == pytest.approx(wilson_interval(3, 11))
    assert two.rate == pytest.approx(1 / 11)
    # Two ahead: from bars 0 (8), 2, 3 (7), 6 and 7 (8) of ten. The ten overlap: each shares half
    # with the next, so they are worth 100 / (10 + 2 * 9 / 2).
    (wide,) = fall_rates(bars, [0.2], 2)
    assert (wide.rate, wide.effective) == (pytest.approx(5 / 10), pytest.approx(100 / 19))
    assert (wide.low, wide.high) == pytest.approx(wilson_interval(50 / 19, 100 / 19))


def test_a_fall_of_its_own_for_every_start_and_only_some_starts() -> None:
    bars = flat([10, 8, 9, 9.5, 7, 10, 10, 10, 8, 10, 10, 10])
    falls = pd.Series([np.nan, 0.2, 0.05, 0.31, 0.1, 0.1, 0.1, 0.25, 1.5, 0.1, 0.1, 0.1])
    # From bar 1 (9: no), 2 (9.5: yes), 3 (7: no, 31 %), 4 to 6 no, 7 (8: no), 8 never, 9, 10 no.
    (own,) = fall_rates(bars, [falls], 1)
    assert (own.rate, own.effective) == (pytest.approx(1 / 10), 10)
    among = pd.Series([True, False] * 6)
    (some,) = fall_rates(bars, [0.2], 1, among=among)
    # Bars 0, 2, 4, 6, 8, 10: only bar 0.
    assert (some.rate, some.effective) == (pytest.approx(1 / 6), 6)


def test_too_few_starts_say_nothing() -> None:
    bars = flat([10.0] * 12)
    (found,) = fall_rates(bars, [0.1], 3)
    assert 3 < found.effective < 5
    assert all(math.isnan(value) for value in (found.rate, found.low, found.high))
    (none,) = fall_rates(bars, [0.1], 20)
    assert none.effective == 0


@pytest.mark.parametrize("falls", [[0.0], [-0.1], [pd.Series([0.1] * 3 + [0.0])]])
def test_what_is_no_fall_is_refused(falls: list[float]) -> None:
    with pytest.raises(InputError, match="a fall must be a fraction above 0"):
        fall_rates(flat([10.0] * 4), falls, 1)
    with pytest.raises(InputError, match="within must be at least 1; got 0"):
        fall_rates(flat([10.0] * 4), [0.1], 0)
