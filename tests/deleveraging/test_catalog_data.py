"""The drawing rule at the head of the catalogue, checked on the closes it was drawn from."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from delever.deleveraging.period import Period, load_catalog

ROOT = Path(__file__).parents[2]
PERIODS = load_catalog(ROOT / "data" / "deleveraging.toml")
SAMPLE = ROOT / "data" / "sample" / "btc_usd_1d.csv"
SHARED = ROOT.parent / "shared" / "data"
DAY = pd.Timedelta(days=1)
LAST_OF_SAMPLE = pd.Timestamp("2025-04-14", tz="UTC")
IN_SAMPLE = [period for period in PERIODS if period.end - DAY <= LAST_OF_SAMPLE]
AFTER_SAMPLE = [period for period in PERIODS if period not in IN_SAMPLE]


def bars(path: Path) -> pd.DataFrame:
    if not path.exists():
        pytest.skip(f"needs {path.name} in the folder of real data beside the project")
    frame = pd.read_csv(path, index_col="timestamp", parse_dates=True)
    return frame.set_axis(pd.DatetimeIndex(frame.index).as_unit("ns"), axis=0)


def drawn_end(close: pd.Series, period: Period) -> pd.Timestamp:
    """The last day of the period by the rule, from its start and trough."""
    eve, trough = close[period.start - DAY], close[period.trough]
    for days in range(1, 8):
        if close[period.trough + days * DAY] >= trough + (eve - trough) / 4:
            return period.trough + days * DAY
    return period.trough + 7 * DAY


def check_rule(close: pd.Series, period: Period) -> None:
    inside = close[period.start : period.end - DAY]
    assert inside.idxmin() == period.trough
    assert close[period.start - DAY] > close[period.start : period.trough].max()
    assert close[period.trough] <= close[period.start - DAY] * 7 / 8
    assert drawn_end(close, period) == period.end - DAY


def test_the_sample_and_the_rest_share_the_catalogue() -> None:
    assert len(IN_SAMPLE) == 14
    assert [period.start.year for period in AFTER_SAMPLE] == [2025, 2025, 2026]


@pytest.mark.parametrize("period", IN_SAMPLE, ids=lambda period: period.id)
def test_the_rule_holds_on_the_embedded_sample(period: Period) -> None:
    check_rule(bars(SAMPLE)["close"], period)


@pytest.mark.parametrize("period", AFTER_SAMPLE, ids=lambda period: period.id)
def test_the_rule_holds_on_binance_after_the_sample(period: Period) -> None:
    check_rule(bars(SHARED / "btcusdt_1d_binance.csv")["close"], period)


@pytest.mark.parametrize(
    "file", ["btcusdt_1d_binance.csv", "btc_usd_1d_yahoo.csv", "btc_usd_1d_bitstamp.csv"]
)
def test_other_venues_agree_that_the_fall_is_there(file: str) -> None:
    close = bars(SHARED / file)["close"]
    covered = [p for p in PERIODS if close.index[0] < p.start and p.end <= close.index[-1]]
    assert len(covered) >= 13
    for period in covered:
        inside = close[period.start : period.end - DAY]
        assert abs(inside.idxmin() - period.trough) <= DAY, period.id
        assert inside.min() <= close[period.start - DAY] * 7 / 8, period.id
        assert abs(drawn_end(close, period) + DAY - period.end) <= 2 * DAY, period.id


@pytest.mark.parametrize("period", PERIODS, ids=lambda period: period.id)
def test_computed_falls_are_the_closes(period: Period) -> None:
    inside = period in IN_SAMPLE
    frame = bars(SAMPLE if inside else SHARED / "btcusdt_1d_binance.csv")
    computed = {figure.name: figure for figure in period.figures if "daily" in figure.source}
    computed |= {figure.name: figure for figure in period.figures if "computed" in figure.source}
    fall = computed["fall of the close"]
    expected = frame["close"][period.trough] / frame["close"][period.start - DAY] - 1
    assert math.isclose(fall.value, expected, abs_tol=0.0005 + 1e-12)
    assert ("sample" in fall.source) == inside
    if not inside:
        low = computed["lowest price"]
        assert low.value == frame["low"][period.start : period.end - DAY].min()
