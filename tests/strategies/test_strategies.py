"""Every file in strategies/ passes the checks, a peeking one fails, and each does what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from delever.engine.orders import exposure_of
from delever.errors import StrategyError
from delever.research.strategy_checks import check_strategy
from delever.study.workspaces.isolation import afresh
from delever.study.workspaces.strategy import load_strategy
from delever.view import MarketView, Reading

ROOT = Path(__file__).parents[2]
EVERY = sorted((ROOT / "strategies").glob("*.py"))
FILES = [file for file in EVERY if load_strategy(file).takes == "market"]
SEVERAL = {"carry", "momentum_rank"}  # of several symbols: tests/study/test_joint_study.py

# Beside the defaults, which every file is checked with.
SETS: dict[str, list[dict[str, Any]]] = {
    "ma200w_break": [
        {"weeks": 30, "average": "ema", "when_below": "short"},
        {"weeks": 20, "average": "wma", "confirm_weeks": 2, "reentry": "confirmed"},
        {"weeks": 2, "confirm_weeks": 3},
    ],
    "support_breach": [
        {"weeks": 4, "breach_on": "low", "when_below": "short"},
        {"weeks": 8, "reentry": "bars", "reentry_bars": 10},
        {"levels": [1.0, 10.0, 100.0, 200.0, 400.0, 600.0], "breach_on": "low"},
        {"grid_step": 100.0},
        {"grid_step": 25.0, "reentry": "bars", "reentry_bars": 5, "when_below": "short"},
    ],
    "funding_capitulation": [
        {"streak": 2, "fall": 0.05, "fall_days": 10, "quiet_days": 1, "hold_days": 5},
    ],
    "level_ladder": [
        {"weeks": [2, 4], "near": 0.0, "stop": 0.05, "target": 0.1},
    ],
    "ma200w_mean_reversion": [
        {"weeks": 10, "average": "wma", "near": 0.05, "stop": 0.1, "target": 0.2},
    ],
    "short_the_break": [
        {"weeks": 4, "confirm_bars": 1},
    ],
    "stress_filter": [
        {"out_of": "selling", "enter": 0.8, "leave": 0.6, "days": 20},
    ],
}


def with_funding(market: MarketView) -> MarketView:
    """The market with made-up funding every eight hours, now of one sign and now of the other."""
    rng = np.random.default_rng(8)
    stamps = pd.date_range(market.index[0], market.close_time[-1], freq="8h")
    drift = np.repeat(rng.normal(0.0, 1e-4, len(stamps) // 9 + 1), 9)[: len(stamps)]
    rates = pd.DataFrame({"funding_rate": drift + rng.normal(0.0, 5e-5, len(stamps))}, index=stamps)
    return replace(
        market, readings={"funding": Reading(frame=rates, publication_lag=pd.Timedelta(0))}
    )


@pytest.fixture(scope="module")
def sample() -> MarketView:
    """The embedded sample to the end of 2015: long enough for 200 weeks and what follows."""
    frame = pd.read_csv(
        ROOT / "data" / "sample" / "btc_usd_1d.csv", index_col="timestamp", parse_dates=True
    )
    return with_funding(MarketView(bars=frame.loc[:"2015-12-31"], timeframe="1d"))


@pytest.fixture(scope="module")
def four_hourly() -> MarketView:
    """A made-up market of four-hour bars that begins on a Thursday and has gaps."""
    rng = np.random.default_rng(5)
    rows = 1_500
    index = pd.date_range("2020-01-02", periods=rows, freq="4h", tz="UTC")
    close = 300 * np.exp(np.cumsum(rng.normal(0, 0.02, rows)))
    opens = np.concatenate([[300.0], close[:-1]])
    bars = pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, close) * np.exp(rng.exponential(0.01, rows)),
            "low": np.minimum(opens, close) * np.exp(-rng.exponential(0.01, rows)),
            "close": close,
            "volume": rng.exponential(10.0, rows),
        },
        index=index,
    )
    kept = np.ones(rows, dtype=bool)
    kept[[100, 101, 102]] = False
    kept[400:450] = False
    return with_funding(MarketView(bars=bars.loc[kept], timeframe="4h"))


CASES = [
    pytest.param(file, params, id=f"{file.stem}-{params or 'defaults'}")
    for file in FILES
    for params in [{}, *SETS.get(file.stem, [])]
]


def test_every_parameter_set_belongs_to_a_file() -> None:
    assert set(SETS) <= {file.stem for file in FILES}
    assert {file.stem for file in EVERY} == SEVERAL | {file.stem for file in FILES}


@pytest.mark.parametrize(("file", "params"), CASES)
def test_keeps_its_contract_on_the_sample(
    file: Path, params: Mapping[str, Any], sample: MarketView
) -> None:
    strategy = load_strategy(file)
    bound = strategy.bind(params)
    target = strategy.target(sample, params)
    # A check of a strategy that never decided anything would prove nothing.
    assert exposure_of(target).notna().sum() > 300
    rungs = len(bound["weeks"]) if file.stem == "level_ladder" else 1
    assert file.stem == "buy_and_hold" or 2 <= exposure_of(target).nunique() <= 1 + rungs
    found = check_strategy(
        afresh(file), sample, parameters=bound, price_parameters=strategy.price_parameters, points=3
    )
    assert [str(finding) for finding in found] == []


@pytest.mark.parametrize(
    ("file", "params"), [case for case in CASES if case.id and not case.id.endswith("defaults")]
)
def test_keeps_its_contract_on_finer_bars_with_gaps(
    file: Path, params: Mapping[str, Any], four_hourly: MarketView
) -> None:
    strategy = load_strategy(file)
    assert exposure_of(strategy.target(four_hourly, params)).notna().sum() > 100
    found = check_strategy(
        afresh(file),
        four_hourly,
        parameters=strategy.bind(params),
        price_parameters=strategy.price_parameters,
        points=2,
    )
    assert [str(finding) for finding in found] == []


PEEKING = {
    "tomorrow": "market.bars['close'].shift(-1) > market.bars['close']",
    "centred": "market.bars['close'] > market.bars['close'].rolling(9, center=True).mean().ffill()",
    "back_filled": "market.bars['close'] > market.bars['close'].rolling(300).mean().bfill()",
    "normalised": "market.bars['close'] > market.bars['close'].mean()",
    "week_label": (
        "market.bars['close'].resample('W-MON', label='left', closed='left').last()"
        ".reindex(market.index, method='ffill') > market.bars['close']"
    ),
}


@pytest.mark.parametrize("name", PEEKING)
def test_a_file_that_peeks_is_caught(name: str, tmp_path: Path, sample: MarketView) -> None:
    file = tmp_path / f"{name}.py"
    file.write_text(
        "import pandas as pd\n"
        "from delever.view import MarketView\n\n"
        f"def {name}(market: MarketView) -> pd.Series:\n"
        f"    return ({PEEKING[name]}).astype('float64')\n"
    )
    found = check_strategy(load_strategy(file), sample, points=3)
    assert "prefix invariance" in [finding.check for finding in found]


# Behaviour by hand.


def market(closes: list[float], *, lows: dict[int, float] | None = None) -> MarketView:
    """Daily bars from Monday 2024-01-01; `lows` gives rows a low of their own."""
    close = np.array(closes, dtype=float)
    index = pd.date_range("2024-01-01", periods=len(close), tz="UTC")
    low = close.copy()
    for row, price in (lows or {}).items():
        low[row] = price
    bars = pd.DataFrame({"open": close, "high": close, "low": low, "close": close}, index=index)
    return MarketView(bars=bars, timeframe="1d")


def weeks(*closes: float) -> MarketView:
    """Weeks whose six first days are wild and whose Sunday closes where it is told."""
    days = [price for close in closes for price in (1.0, 999.0, 1.0, 999.0, 1.0, 999.0, close)]
    return market(days)


def per_week(target: pd.Series) -> list[float]:
    """Exposure decided at each Sunday's close, held unchanged until the next Sunday's."""
    values = target.to_numpy()
    sundays = values[6::7]
    for week, value in enumerate(sundays[:-1]):
        np.testing.assert_array_equal(values[6 + 7 * week : 13 + 7 * week], value)
    assert np.isnan(values[:6]).all()
    return [float(value) for value in sundays]


def run(name: str, view: MarketView, **params: Any) -> pd.Series:
    return load_strategy(ROOT / "strategies" / f"{name}.py").target(view, params)


NAN = float("nan")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, [NAN, 1, 0, 0, 1, 1, 0, 0, 1]),
        ({"when_below": "short"}, [NAN, 1, -1, -1, 1, 1, -1, -1, 1]),
        ({"confirm_weeks": 2}, [NAN, 1, 1, 0, 1, 1, 1, 0, 1]),
        ({"confirm_weeks": 2, "reentry": "confirmed"}, [NAN, 1, 1, 0, 0, 1, 1, 0, 0]),
    ],
)
def test_ma200w_break_by_hand(params: dict[str, Any], expected: list[float]) -> None:
    # closes     10   12   10   8   10   11   10   9   12
    # averages    -   11   11   9    9  10.5 10.5 9.5 10.5
    # below            no  yes yes   no   no  yes yes   no
    view = weeks(10, 12, 10, 8, 10, 11, 10, 9, 12)
    np.testing.assert_array_equal(per_week(run("ma200w_break", view, weeks=2, **params)), expected)


def test_ma200w_break_holds_on_a_close_at_the_average() -> None:
    # Closes two and four equal their averages: neither a break nor, after one, a return.
    np.testing.assert_array_equal(
        per_week(run("ma200w_break", weeks(10, 10, 8, 8, 9), weeks=2)), [NAN, 1, 0, 0, 1]
    )


@pytest.mark.parametrize(
    ("average", "expected"),
    [
        # Closes 4, 1, 2: averages of three are 2.333 (sma), 2 * (1, 2, 3)/6 = 2.0 (wma: at the
        # close), and ema 4 -> 2.5 -> 2.25; then a close of 2.1: 1.7, 1.883 and 2.175.
        ("sma", [NAN, NAN, 0, 1]),
        ("wma", [NAN, NAN, 1, 1]),
        ("ema", [NAN, NAN, 0, 0]),
    ],
)
def test_ma200w_break_knows_three_averages(average: str, expected: list[float]) -> None:
    target = run("ma200w_break", weeks(4, 1, 2, 2.1), weeks=3, average=average)
    np.testing.assert_array_equal(per_week(target), expected)


def test_a_rolling_support_is_breached_and_reclaimed() -> None:
    first = [50.0, 40.0, 50.0, 50.0, 50.0, 50.0, 50.0]  # support of the second week: 40
    second = [41.0, 40.0, 39.0, 30.0, 40.0, 41.0, 42.0]  # support of the third week: 30
    third = [31.0, 30.0, 29.0]
    target = run("support_breach", market(first + second + third), weeks=1)
    expected = [NAN] * 7 + [1, 1, 0, 0, 0, 1, 1] + [1, 1, 0]
    np.testing.assert_array_equal(target, expected)


def test_a_breach_on_the_low_takes_out_until_a_later_close_above() -> None:
    days = [50.0] * 7 + [50.0, 51.0, 52.0, 53.0]
    view = market(days, lows={8: 49.0})
    np.testing.assert_array_equal(run("support_breach", view, weeks=1), [NAN] * 7 + [1, 1, 1, 1])
    on_low = run("support_breach", view, weeks=1, breach_on="low", when_below="short")
    np.testing.assert_array_equal(on_low, [NAN] * 7 + [1, -1, 1, 1])


def test_listed_levels_break_one_at_a_time() -> None:
    days = [105.0, 99.0, 85.0, 79.0, 95.0, 100.0, 101.0, 79.0, 80.0, 90.0]
    target = run("support_breach", market(days), levels=[100, 80])
    # 99 breaks 100; falling through 80 as well changes nothing; 101 reclaims 100. The fall to 79
    # breaks 100, the level in force at 101, and 90 does not reclaim it.
    np.testing.assert_array_equal(target, [NAN, 0, 0, 0, 0, 0, 1, 0, 0, 0])


def test_round_numbers_and_a_return_after_some_bars() -> None:
    days = [25.0, 19.0, 18.0, 17.0, 16.0, 9.0, 8.0, 21.0, 22.0]
    target = run("support_breach", market(days), grid_step=10, reentry="bars", reentry_bars=3)
    # Out for three bars from the break of 20; back at 16; out from the break of 10.
    np.testing.assert_array_equal(target, [NAN, 0, 0, 0, 1, 0, 0, 0, 1])


def test_the_return_after_some_bars_waits_while_the_bar_breaches_again() -> None:
    days = [25.0, 19.0, 18.0, 9.0, 9.0, 9.0]
    target = run("support_breach", market(days), grid_step=10, reentry="bars", reentry_bars=2)
    np.testing.assert_array_equal(target, [NAN, 0, 0, 0, 0, 1])


def test_below_every_level_there_is_nothing_to_breach() -> None:
    target = run("support_breach", market([5.0, 4.0, 3.0]), levels=[10])
    np.testing.assert_array_equal(target, [NAN, 1, 1])


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"weeks": 3, "levels": [1.0]}, "only one of weeks, levels and grid_step"),
        ({"levels": [1.0], "grid_step": 1.0}, "only one of weeks, levels and grid_step"),
        ({"reentry": "bars"}, "reentry_bars goes with reentry='bars'"),
        ({"reentry_bars": 3}, "reentry_bars goes with reentry='bars'"),
    ],
)
def test_support_breach_refuses_what_contradicts_itself(params: dict[str, Any], said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        run("support_breach", market([1.0, 2.0]), **params)


def test_the_default_support_is_half_a_year_of_weeks() -> None:
    view = weeks(*([500.0] * 30))
    np.testing.assert_array_equal(
        run("support_breach", view), run("support_breach", view, weeks=26)
    )
    assert run("support_breach", view).first_valid_index() == view.index[26 * 7]


def test_buy_and_hold_is_always_in() -> None:
    assert run("buy_and_hold", market([1.0, 2.0, 3.0])).tolist() == [1.0, 1.0, 1.0]
