"""Two markets on their common sessions, against numpy on rows picked by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError
from delever.signals.cross import haven_gap, rolling_beta, rolling_correlation, sessions
from delever.view import MarketView, Reading

DAYS = pd.date_range("2026-01-05", periods=40, tz="UTC").as_unit("ns")
SESSIONS = DAYS[DAYS.day_of_week < 5].drop(pd.Timestamp("2026-01-19", tz="UTC"))  # a holiday
RNG = np.random.default_rng(5)
COIN = 100 * np.exp(np.cumsum(RNG.normal(0, 0.03, len(DAYS))))
SHARE = 50 * np.exp(np.cumsum(RNG.normal(0, 0.02, len(SESSIONS))))


def view(lag: str = "24h") -> MarketView:
    frame = pd.DataFrame({"open": 1.0, "close": SHARE}, index=SESSIONS)
    bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], COIN), index=DAYS)
    reading = Reading(frame=frame, publication_lag=pd.Timedelta(lag))
    return MarketView(bars=bars, timeframe="1d", readings={"igv": reading, "gold": reading})


def coin_on_sessions() -> np.ndarray:
    return COIN[DAYS.get_indexer(SESSIONS)]


def test_both_are_taken_at_the_end_of_the_session_however_late_it_is_published() -> None:
    for lag in ("24h", "60h"):
        both = sessions(view(lag), series="igv")
        np.testing.assert_array_equal(both["own"], coin_on_sessions())
        np.testing.assert_array_equal(both["other"], SHARE)
    # Published before the coin's day has closed, a session is paired with the day before.
    early = sessions(view("20h"), series="igv")
    before = COIN[DAYS.get_indexer(SESSIONS[1:]) - 1]
    np.testing.assert_array_equal(early["own"], before)


@pytest.mark.parametrize("of", ["returns", "levels"])
def test_correlation_is_numpys(of: str) -> None:
    got = rolling_correlation(view(), window=10, of=of)  # type: ignore[arg-type]
    pair = np.array([coin_on_sessions(), SHARE])
    if of == "returns":
        pair = np.diff(np.log(pair))
    last = SESSIONS[-1]
    assert got[last] == pytest.approx(np.corrcoef(pair[:, -10:])[0, 1], rel=1e-9)
    assert math.isnan(got[SESSIONS[9 if of == "returns" else 8]])
    assert not math.isnan(got[SESSIONS[10 if of == "returns" else 9]])


def test_beta_is_the_slope_of_a_least_squares_line() -> None:
    got = rolling_beta(view(), window=12)
    x, y = (np.diff(np.log(values))[-12:] for values in (SHARE, coin_on_sessions()))
    assert got[SESSIONS[-1]] == pytest.approx(np.polyfit(x, y, 1)[0], rel=1e-9)


def test_the_haven_gap_is_a_difference_of_returns() -> None:
    got = haven_gap(view(), window=5)
    coin = coin_on_sessions()
    expected = (SHARE[-1] / SHARE[-6] - 1) - (coin[-1] / coin[-6] - 1)
    assert got[SESSIONS[-1]] == pytest.approx(expected, rel=1e-12)
    friday = pd.Timestamp("2026-01-16", tz="UTC")
    holiday = pd.Timestamp("2026-01-19", tz="UTC")
    assert got[holiday] == got[friday]


def test_a_share_that_stands_still_has_no_correlation_and_no_beta() -> None:
    frame = pd.DataFrame({"close": 50.0}, index=SESSIONS)
    flat = Reading(frame=frame, publication_lag=pd.Timedelta("24h"))
    seen = MarketView(bars=view().bars, timeframe="1d", readings={"igv": flat})
    assert rolling_correlation(seen, window=5).isna().all()
    assert rolling_beta(seen, window=5).isna().all()


def test_refuses_windows_and_kinds() -> None:
    with pytest.raises(InputError, match="window must be at least 3 sessions; got 2"):
        rolling_correlation(view(), window=2)
    with pytest.raises(InputError, match="of must be 'returns' or 'levels'; got 'ranks'"):
        rolling_correlation(view(), of="ranks")  # type: ignore[arg-type]
