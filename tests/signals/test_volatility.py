"""Estimators of volatility against the papers' formulas written out by hand."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError
from delever.signals.volatility import realised_volatility, volume_shock

BARS = pd.DataFrame(
    [[100, 110, 95, 105], [104, 112, 101, 102], [103, 106, 90, 96], [97, 99, 91, 98]],
    columns=["open", "high", "low", "close"],
    dtype=float,
)


def per_bar(estimator: str, bars: pd.DataFrame, window: int) -> pd.Series:
    return realised_volatility(bars, window, None, estimator)


close_to_close, parkinson, garman_klass, yang_zhang = (
    partial(per_bar, name) for name in ("close_to_close", "parkinson", "garman_klass", "yang_zhang")
)


def test_close_to_close_is_numpys_sample_deviation_of_log_returns() -> None:
    returns = np.log([102 / 105, 96 / 102, 98 / 96])
    got = close_to_close(BARS, 3)
    assert got.isna().tolist() == [True, True, True, False]
    assert got.iloc[3] == pytest.approx(np.std(returns, ddof=1), rel=1e-12)


def test_parkinson_by_hand() -> None:
    # Two bars: ln(110/95) = 0.14660347, ln(112/101) = 0.10337835; squares 0.02149258 and
    # 0.01068708; mean 0.01608983 over 4 ln 2 = 2.77258872 is 0.00580318, whose root is 0.0761786.
    got = parkinson(BARS, 2)
    assert math.isnan(got.iloc[0])
    assert got.iloc[1] == pytest.approx(0.0761786, abs=5e-7)


def test_garman_klass_by_hand() -> None:
    # One bar: 0.14660347**2 / 2 - 0.38629436 * ln(1.05)**2
    #        = 0.01074629 - 0.38629436 * 0.00238048 = 0.00982672, root 0.0991298.
    assert garman_klass(BARS, 1).iloc[0] == pytest.approx(0.0991298, abs=5e-7)


def test_yang_zhang_written_out() -> None:
    n = 3
    gaps, bodies, inside = [], [], []
    for before, (o, h, low, c) in zip(BARS["close"], BARS.to_numpy()[1:], strict=False):
        gaps.append(math.log(o / before))
        bodies.append(math.log(c / o))
        inside.append(math.log(h / c) * math.log(h / o) + math.log(low / c) * math.log(low / o))
    k = 0.34 / (1.34 + (n + 1) / (n - 1))

    def variance(values: list[float]) -> float:
        mean = math.fsum(values) / n
        return math.fsum((value - mean) ** 2 for value in values) / (n - 1)

    expected = math.sqrt(variance(gaps) + k * variance(bodies) + (1 - k) * math.fsum(inside) / n)
    got = yang_zhang(BARS, n)
    assert got.isna().tolist() == [True, True, True, False]
    assert got.iloc[3] == pytest.approx(expected, rel=1e-12)


def test_the_estimators_find_the_volatility_of_a_random_walk() -> None:
    """A driftless walk of 400 steps a bar with 2 % a bar; ranges of sampled walks err low."""
    rng = np.random.default_rng(3)
    steps = rng.normal(0, 0.02 / 20, (4_000, 400))
    path = np.exp(np.cumsum(steps.ravel())).reshape(steps.shape)
    opened = np.concatenate([[1.0], path[:-1, -1]])
    bars = pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(path.max(axis=1), opened),
            "low": np.minimum(path.min(axis=1), opened),
            "close": path[:, -1],
        }
    )
    for estimate in (close_to_close, parkinson, garman_klass, yang_zhang):
        # 4,000 bars pin down a deviation to about 1 %; sampling costs the ranges up to 5 %.
        assert 0.94 * 0.02 < estimate(bars, 3_999).iloc[-1] < 1.03 * 0.02


def test_a_year_has_365_days() -> None:
    got = realised_volatility(BARS, 3, "1d", "close_to_close").iloc[3]
    assert got == pytest.approx(close_to_close(BARS, 3).iloc[3] * math.sqrt(365), rel=1e-12)
    hourly = realised_volatility(BARS, 3, "1h", "parkinson").iloc[3]
    assert hourly == pytest.approx(parkinson(BARS, 3).iloc[3] * math.sqrt(8_760), rel=1e-12)


def test_a_market_that_stands_still_has_none() -> None:
    flat = pd.DataFrame(1.5, index=range(5), columns=list(BARS.columns))
    for estimate in (close_to_close, parkinson, garman_klass, yang_zhang):
        assert estimate(flat, 3).iloc[-1] == 0.0


def test_refuses_windows_too_short_and_unknown_names() -> None:
    with pytest.raises(InputError, match="at least 2 bars for this estimator; got 1"):
        yang_zhang(BARS, 1)
    with pytest.raises(InputError, match="estimator must be one of close_to_close"):
        realised_volatility(BARS, 3, "1d", "rogers")  # type: ignore[arg-type]


def test_volume_shock_compares_with_the_bars_before() -> None:
    volume = pd.Series([2.0, 4.0, 6.0, 8.0, 0.0, 0.0])
    got = volume_shock(volume, window=2, base=2)
    assert got.isna().tolist() == [True, True, True, False, False, True]
    assert got.iloc[3] == pytest.approx(math.log(7 / 3))
    assert got.iloc[4] == pytest.approx(math.log(4 / 5))
    assert volume_shock(pd.Series([1.0, math.nan, 1.0, 1.0]), 1, 1).isna().tolist() == [
        True,
        True,
        True,
        False,
    ]
