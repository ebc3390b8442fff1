from __future__ import annotations

import math
import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.deleveraging.detect import Detector, Drawdown, detect, detected_periods
from delever.errors import InputError
from delever.signals.volatility import fall_speed

ROOT = Path(__file__).parents[2]
SHORT = Detector(fall_bars=3, volatility_bars=8, enter=2.0, exit=0.5, calm_bars=2)


def series(values: list[float] | np.ndarray, step: str = "24h") -> pd.Series:
    index = pd.date_range("2020-01-06", periods=len(values), freq=step, tz="UTC", unit="ns")
    return pd.Series(np.asarray(values, dtype=float), index=index)


def plain(close: list[float], fall_bars: int, volatility_bars: int) -> list[float]:
    """The formula of the docstring, bar by bar, with the standard library alone."""
    speeds = []
    for bar in range(len(close)):
        if bar < fall_bars + volatility_bars:
            speeds.append(math.nan)
            continue
        first = bar - fall_bars - volatility_bars + 1
        returns = [
            math.log(close[at] / close[at - 1]) for at in range(first, first + volatility_bars)
        ]
        fall = math.log(close[bar] / max(close[bar - fall_bars : bar + 1]))
        unit = statistics.stdev(returns) * math.sqrt(fall_bars)
        speeds.append(fall / unit if unit else math.nan)
    return speeds


def plain_state(speeds: list[float], detector: Detector) -> list[bool]:
    """The state from the whole past of each bar, without carrying anything between bars."""
    states = []
    for bar in range(len(speeds)):
        entries = [at for at in range(bar + 1) if speeds[at] < -detector.enter]
        if not entries:
            states.append(False)
            continue
        calm = [speeds[at] > -detector.exit for at in range(entries[-1] + 1, bar + 1)]
        wanted = detector.calm_bars
        states.append(not any(all(calm[at - wanted : at]) for at in range(wanted, len(calm) + 1)))
    return states


def test_fall_speed_is_its_formula_on_the_embedded_sample() -> None:
    frame = pd.read_csv(ROOT / "data/sample/btc_usd_1d.csv", index_col=0, parse_dates=True)
    close = frame["close"].iloc[-1500:]
    expected = plain(close.tolist(), 7, 90)
    found = fall_speed(close, fall_bars=7, volatility_bars=90)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert detect(close, Detector()).tolist() == plain_state(expected, Detector())
    assert 0 < detect(close, Detector()).sum() < 200


def test_the_default_is_a_drawdown_of_twenty_days_on_any_timeframe() -> None:
    close = series([100.0, 90, 79, 81, 79.9, 110, 87.9, 88.1])
    assert detect(close).tolist() == [False, False, True, False, True, False, True, False]
    hourly = close.resample("1h").ffill()
    assert detect(hourly).resample("24h").last().tolist() == detect(close).tolist()
    # The high of day 0 counts on day 19, and no longer on day 20.
    long = series([100.0] + [79.0] * 25)
    assert detect(long).tolist() == [False] + [True] * 19 + [False] * 6
    assert detect(long, Drawdown(days=5, fall=0.2)).sum() == 4
    with pytest.raises(InputError, match=r"fall of the drawdown must lie in \(0, 1\); got 20"):
        Drawdown(fall=20)
    with pytest.raises(InputError, match="days of the drawdown must lie above 0; got 0"):
        Drawdown(days=0)


def test_a_detector_of_days_takes_as_much_time_on_bars_of_any_length() -> None:
    found = SHORT.in_days("4h")
    assert (found.fall_bars, found.volatility_bars, found.calm_bars) == (18, 48, 12)
    assert (found.enter, found.exit) == (SHORT.enter, SHORT.exit)
    assert SHORT.in_days("1d") == SHORT


def test_a_crash_does_not_hide_in_its_own_volatility() -> None:
    calm = [100.0, 101.0] * 10
    crash = series([*calm, 90.0, 80.0, 70.0])
    found = fall_speed(crash, fall_bars=3, volatility_bars=8)
    # Eight returns of +-log(1.01): a sample deviation of log(1.01) * sqrt(8 / 7).
    unit = math.log(1.01) * math.sqrt(8 / 7) * math.sqrt(3)
    assert found.iloc[-1] == pytest.approx(math.log(70 / 101) / unit, rel=1e-9)


def test_warm_up_and_a_market_that_stands_still_are_undefined() -> None:
    still = fall_speed(series([5.0] * 12 + [4.0]), fall_bars=3, volatility_bars=8)
    assert still.isna().all()
    moving = fall_speed(series([1.0, 2.0] * 7), fall_bars=3, volatility_bars=8)
    assert moving.isna().tolist() == [True] * 11 + [False] * 3


def test_hysteresis_by_hand() -> None:
    # One-bar falls against a deviation of u = log(1.01) * sqrt(4 / 3) = 0.01149 at first.
    fast = Detector(fall_bars=1, volatility_bars=4, enter=3.0, exit=1.0, calm_bars=2)
    close = series([100, 101, 100, 101, 100, 90, 91, 90, 91, 92, 91.9, 92])
    speed = fall_speed(close, fall_bars=1, volatility_bars=4)
    assert speed.iloc[5] < -3  # the fall to 90
    assert speed.iloc[6] == 0  # calm, once
    assert -1 < speed.iloc[7] < 0  # 91 to 90 against a deviation that knows the fall: calm, twice
    assert detect(close, fast).astype(int).tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    patient = Detector(fall_bars=1, volatility_bars=4, enter=3.0, exit=1.0, calm_bars=4)
    assert detect(close, patient).astype(int).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0]


def test_a_speed_at_a_threshold_changes_nothing() -> None:
    close = series([100, 101, 100, 101, 100, 90, 91, 90, 91, 92, 91.9, 92])
    speed = fall_speed(close, fall_bars=1, volatility_bars=4)
    bars = {"fall_bars": 1, "volatility_bars": 4}
    crash = -float(speed.iloc[5])
    assert not detect(close, Detector(**bars, enter=crash)).any()
    assert detect(close, Detector(**bars, enter=crash - 1e-9)).any()
    # The fall from 91 to 90 is calm only above the threshold, and then the second calm bar.
    dip = -float(speed.iloc[7])
    assert detect(close, Detector(**bars, exit=dip, calm_bars=2)).tolist()[5:10] == [True] * 4 + [
        False
    ]
    assert detect(close, Detector(**bars, exit=dip + 1e-9, calm_bars=2)).tolist()[5:10] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_fall_between_the_two_thresholds_neither_starts_nor_ends_a_state() -> None:
    # Speeds: -9.2 at the crash, then 0 and about -1.4, so calm never lasts two bars.
    step = 0.13
    close = [100.0, 101.0, 100.0, 101.0, 100.0, 90.0]
    for up in (True, False) * 4:
        close.append(close[-1] * (1 + step if up else 1 / (1 + step)))
    detector = Detector(fall_bars=1, volatility_bars=4, enter=3.0, exit=0.5, calm_bars=2)
    speed = fall_speed(series(close), fall_bars=1, volatility_bars=4)
    assert all(-3 < value < -0.5 or value == 0 for value in speed.iloc[6:])
    assert detect(series(close), detector).tolist() == [False] * 5 + [True] * 9
    assert not detect(series(close[6:]), detector).any()


@st.composite
def markets(draw: st.DrawFn) -> np.ndarray:
    count = draw(st.integers(1, 60))
    steps = draw(
        st.lists(st.floats(-0.4, 0.3, allow_subnormal=False), min_size=count, max_size=count)
    )
    return 100 * np.exp(np.cumsum(steps))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(markets(), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_what_was_detected_never_depends_on_later_bars(
    close: np.ndarray, known: int, seed: int
) -> None:
    known = min(known, len(close))
    whole = detect(series(close), SHORT).tolist()
    assert detect(series(close[:known]), SHORT).tolist() == whole[:known]
    other = close.copy()
    other[known:] = np.random.default_rng(seed).uniform(1e-3, 1e6, len(close) - known)
    assert detect(series(other), SHORT).tolist()[:known] == whole[:known]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(markets(), st.integers(-20, 20))
def test_the_unit_of_price_is_free(close: np.ndarray, power: int) -> None:
    # A power of two scales floats without rounding, so equality is exact.
    scaled = series(close * 2.0**power)
    assert detect(scaled, SHORT).tolist() == detect(series(close), SHORT).tolist()


def test_any_unit_gives_the_same_speed_within_rounding() -> None:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(7).normal(0, 0.03, 500)))
    yen = fall_speed(series(close * 151.7), fall_bars=3, volatility_bars=8)
    dollars = fall_speed(series(close), fall_bars=3, volatility_bars=8)
    np.testing.assert_allclose(yen, dollars, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(markets())
def test_the_state_is_its_definition_on_any_market(close: np.ndarray) -> None:
    speeds = fall_speed(series(close), fall_bars=3, volatility_bars=8).tolist()
    assert detect(series(close), SHORT).tolist() == plain_state(speeds, SHORT)


def test_detected_periods_begin_when_the_state_was_known() -> None:
    close = series([10, 8, 6, 7, 9, 9, 5, 4], "4h")
    state = pd.Series([0, 1, 1, 0, 0, 0, 1, 1], index=close.index, dtype=bool)
    first, second = detected_periods(state, close, "4h")
    day = pd.Timestamp("2020-01-06", tz="UTC")
    assert first.start == day + pd.Timedelta(hours=8)  # the close of the second bar
    assert first.end == day + pd.Timedelta(hours=16)  # the close of the fourth
    assert first.trough == day + pd.Timedelta(hours=8)  # the open of the third
    assert (second.start, second.end) == (
        day + pd.Timedelta(hours=28),
        day + pd.Timedelta(hours=32),
    )
    assert second.trough == second.start
    assert first.id == "detected-2020-01-06T08:00"


def test_a_state_that_begins_on_the_last_bar_has_no_bar_yet() -> None:
    close = series([10, 8])
    state = pd.Series([False, True], index=close.index)
    assert detected_periods(state, close, "1d") == ()
    assert detected_periods(state[:0], close[:0], "1d") == ()


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
def test_a_close_that_is_no_price_is_refused_with_its_bar(value: float) -> None:
    with pytest.raises(InputError, match=r"finite number above 0.*2020-01-07"):
        detect(series([1.0, value, 2.0]))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fall_bars": 0}, "fall_bars"),
        ({"volatility_bars": 1}, "volatility_bars"),
        ({"calm_bars": 0}, "calm_bars"),
        ({"enter": 1.0}, "exit and enter"),
        ({"exit": 0.0}, "exit and enter"),
        ({"enter": math.nan}, "exit and enter"),
        ({"enter": math.inf}, "exit and enter"),
    ],
)
def test_parameters_out_of_range_are_refused(change: dict[str, float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Detector(**change)


def test_state_and_close_must_share_their_bars() -> None:
    close = series([1, 2, 3])
    with pytest.raises(InputError, match="the same bars"):
        detected_periods(pd.Series([True], index=close.index[:1]), close, "1d")
