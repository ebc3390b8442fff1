"""The state machine by hand, with hysteresis; detected periods compared era by era."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from delever.deleveraging.detect import detected_periods
from delever.deleveraging.overlap import ERAS, overlap, overlap_by_era
from delever.deleveraging.period import Period, load_catalog
from delever.deleveraging.phase_machine import (
    PhaseRules,
    causal_phases,
    is_deleveraging,
    market_phases,
)
from delever.errors import InputError
from delever.view import MarketView

ROOT = Path(__file__).parents[2]
DAYS = pd.date_range("2026-01-05", periods=60, tz="UTC").as_unit("ns")
QUICK = PhaseRules(low_days=2, quiet_days=2, calm_days=2, recovery_days=4)


def run(
    close: list[float],
    stress: list[float],
    leverage: list[float] | None = None,
    rules: PhaseRules = QUICK,
) -> str:
    """First letters of the phases, "-" where undefined."""
    index = DAYS[: len(close)]
    build = [math.nan] * len(close) if leverage is None else leverage
    got = causal_phases(
        *(pd.Series(v, index=index, dtype=float) for v in (close, stress, build)), "1d", rules
    )
    assert got.index.equals(index)
    return "".join("-" if isinstance(phase, float) else str(phase)[0] for phase in got)


def test_a_fall_from_build_up_to_calm() -> None:
    close = [100.0, 101, 102, 90, 80, 82, 81, 83, 79, 84, 85, 86, 90, 91, 91, 91]
    stress = [0.5, 0.5, 0.5, 0.96, 0.97, 0.9, 0.9, 0.9, 0.9, 0.7, 0.7, 0.7, 0.7, 0.1, 0.1, 0.1]
    leverage = [0.5, 0.95, 0.8, 0.8] + [0.1] * 12
    # c calm; b leverage above 0.9; cascade at the low of 90; washout after two bars without a
    # lower close; 79 is lower while stress is above 0.8: cascade again; two bars below 0.8 end
    # it; recovery until half of the fall from 102 to 79 is won back, at 90.5.
    assert run(close, stress, leverage) == "cbb" + "cc" + "c" + "ww" + "c" + "c" + "rrr" + "ccc"
    index = DAYS[: len(close)]
    got = causal_phases(
        pd.Series(close, index=index),
        pd.Series(stress, index=index),
        pd.Series(leverage, index=index),
        "1d",
        QUICK,
    )
    assert got.iloc[[0, 3, 8, 13]].tolist() == ["calm", "cascade", "cascade", "calm"]
    assert got.cat.ordered


def test_hysteresis_between_enter_and_exit() -> None:
    falling = [100.0, 99, 98, 97, 96, 95, 94, 93]
    # Stress between exit and enter neither begins a cascade nor ends one.
    assert run(falling, [0.9] * 8) == "c" * 8
    got = run(falling, [0.96] + [0.85] * 7)
    index = DAYS[:8]
    full = causal_phases(
        pd.Series(falling, index=index),
        pd.Series([0.96] + [0.85] * 7, index=index),
        pd.Series(math.nan, index=index),
        "1d",
        QUICK,
    )
    assert set(full) == {"cascade"}
    assert got == "c" * 8


def test_stress_in_a_rise_is_no_cascade() -> None:
    index = DAYS[:6]
    rising = pd.Series([1.0, 2, 3, 4, 5, 6], index=index)
    got = causal_phases(rising, pd.Series(0.99, index=index), rising * math.nan, "1d", QUICK)
    # The first bar is the lowest of one; after it every close is a high.
    assert got.iloc[1:].isin(["cascade"]).sum() <= QUICK.quiet_days


def test_a_recovery_ends_after_its_time_at_the_latest() -> None:
    close = [100.0, 80, 80, 80] + [81.0] * 8
    stress = [0.5, 0.96] + [0.1] * 10
    # Two bars below 0.8 end the cascade; four bars later the recovery is over.
    index = DAYS[:12]
    got = causal_phases(
        pd.Series(close, index=index),
        pd.Series(stress, index=index),
        pd.Series(math.nan, index=index),
        "1d",
        QUICK,
    ).tolist()
    assert got == ["calm", "cascade", "cascade"] + ["recovery"] * 4 + ["calm"] * 5


def test_what_is_not_known_is_not_calm() -> None:
    close = [100.0, 90, 80, 81, 82]
    index = DAYS[:5]
    got = causal_phases(
        pd.Series(close, index=index),
        pd.Series([math.nan, math.nan, 0.99, math.nan, math.nan], index=index),
        pd.Series(math.nan, index=index),
        "1d",
        QUICK,
    )
    assert got.isna().tolist() == [True, True, False, False, False]
    assert got.dropna().tolist() == ["cascade", "cascade", "washout"]
    on = is_deleveraging(got)
    assert on.index.equals(index[2:])
    assert on.dtype == bool
    assert on.all()


def test_forced_flow_at_a_new_low_is_a_cascade_wherever_the_bar_closed() -> None:
    close = pd.Series([100.0, 101, 99.5, 100, 100, 100, 100], index=DAYS[:7])
    low = pd.Series([99.0, 100, 80, 98, 79, 99, 99], index=DAYS[:7])
    calm = pd.Series(0.5, index=close.index)
    flow = pd.Series([0.5, 0.999, 0.992, 0.5, 0.992, 0.5, 0.5], index=close.index)
    got = causal_phases(close, calm, calm * math.nan, "1d", QUICK, low=low, flow=flow)
    # Not at a higher low, however extreme; two calm days in a row end the selling.
    assert got.tolist() == ["calm", "calm", "cascade", "cascade", "cascade", "cascade", "recovery"]
    assert causal_phases(close, calm, calm * math.nan, "1d", QUICK, low=low).eq("calm").all()
    with pytest.raises(InputError, match="low and flow must have the same bars"):
        causal_phases(close, calm, calm, "1d", QUICK, low=low.iloc[1:])
    with pytest.raises(InputError, match=r"flow_enter of the phases must lie in \(0, 1\); got 1"):
        PhaseRules(flow_enter=1.0)


def test_windows_are_days_on_any_timeframe() -> None:
    index = pd.date_range("2026-01-05", periods=20 * 6, freq="4h", tz="UTC").as_unit("ns")
    close = pd.Series(100.0, index=index)
    close.iloc[30:] = 80.0
    stress = pd.Series(0.5, index=index)
    stress.iloc[30] = 0.99
    stress.iloc[31:] = 0.9
    got = causal_phases(close, stress, stress * math.nan, "4h", PhaseRules())
    assert got.iloc[30] == "cascade"
    # Three days without a lower close are 18 bars of 4 hours.
    assert (got.iloc[30:48] == "cascade").all()
    assert got.iloc[48] == "washout"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"exit": 0.96}, "0 < exit < enter < 1"),
        ({"exit": 0.95}, "0 < exit < enter < 1"),
        ({"enter": 1.0}, "0 < exit < enter < 1"),
        ({"calm_days": math.inf}, "calm_days of the phases must be above 0"),
        ({"build_exit": 0.0}, "0 < build_exit < build_enter < 1"),
        ({"low_days": 0}, "low_days of the phases must be above 0"),
        ({"regained": 1.5}, "regained of the phases must be <= 1"),
    ],
)
def test_refuses_rules_that_cannot_be(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PhaseRules(**wrong)


def named(close: list[float], stress: list[float], leverage: list[float]) -> list[str]:
    index = DAYS[: len(close)]
    given = (pd.Series(values, index=index, dtype=float) for values in (close, stress, leverage))
    return causal_phases(*given, "1d", QUICK).tolist()


def test_a_figure_at_a_threshold() -> None:
    # Leverage builds up at 0.9 and still does at 0.7; stress of 0.95 at a low is a cascade.
    assert named([1.0, 1, 1, 1], [0.5] * 4, [0.9, 0.7, 0.69, 0.1]) == [
        "build_up",
        "build_up",
        "calm",
        "calm",
    ]
    assert named([100.0, 99], [0.5, 0.95], [0.1] * 2) == ["calm", "cascade"]
    # Stress of 0.8 is not calm, and a lower close with it is a cascade again.
    falling = [100.0, 80, 81, 82, 79, 83, 84]
    found = named(falling, [0.5, 0.95, 0.8, 0.8, 0.8, 0.8, 0.8], [0.1] * 7)
    assert found == ["calm", "cascade", "cascade", "washout", "cascade", "cascade", "washout"]
    # Half of the fall from 100 to 80 is won back at 90.
    back = named([100.0, 80, 81, 82, 90], [0.5, 0.95, 0.1, 0.1, 0.1], [0.1] * 5)
    assert back == ["calm", "cascade", "cascade", "recovery", "calm"]
    assert PhaseRules(regained=1.0).regained == 1.0


def test_refuses_series_of_different_bars() -> None:
    a, b = pd.Series(1.0, index=DAYS[:3]), pd.Series(0.5, index=DAYS[:4])
    with pytest.raises(InputError, match="must have the same bars"):
        causal_phases(a, b, b, "1d")


def period(name: str, start: int, end: int) -> Period:
    return Period(id=name, title=name, start=DAYS[start], trough=DAYS[start], end=DAYS[end])


def test_eras_split_what_the_whole_compares() -> None:
    catalogue = [period("a", 2, 6), period("b", 20, 25), period("c", 40, 50)]
    on = pd.Series(False, index=DAYS)
    on.iloc[[3, 4, 10, 22, 33, 34, 45]] = True
    eras = {"one": DAYS[0], "two": DAYS[15], "three": DAYS[30]}
    got = overlap_by_era(on, catalogue, "1d", eras)
    assert got.index.tolist() == ["one", "two", "three"]
    assert got["bars"].tolist() == [13, 15, 20]  # from the first start to the last end
    assert got["periods"].tolist() == got["detected"].tolist() == [1, 1, 1]
    assert got["median_lag"].tolist() == [1.0, 2.0, 5.0]
    np.testing.assert_allclose(got["bar_precision"], [2 / 3, 1.0, 1 / 3])
    np.testing.assert_allclose(got["bar_recall"], [2 / 4, 1 / 5, 1 / 10])
    assert got["false_alarms"].tolist() == [1, 0, 1]
    assert got["alarms"].sum() == overlap(on, catalogue, "1d").alarms
    late = overlap_by_era(on, catalogue, "1d", {"all": DAYS[0], "after": DAYS[55]})
    assert late.index.tolist() == ["all"]
    with pytest.raises(InputError, match="one after the other"):
        overlap_by_era(on, catalogue, "1d", {"x": DAYS[5], "y": DAYS[0]})


def test_the_sample_by_era() -> None:
    """Price and volume alone, on the embedded sample; the figures of the page on signals."""
    bars = pd.read_csv(ROOT / "data/sample/btc_usd_1d.csv", index_col=0, parse_dates=True)
    state = market_phases(MarketView(bars=bars, timeframe="1d"))
    catalogue = load_catalog(ROOT / "data" / "deleveraging.toml")
    on = is_deleveraging(state)
    table = overlap_by_era(on, catalogue, "1d")
    assert list(table.index) == list(ERAS)
    periods = detected_periods(on, bars["close"].loc[on.index], "1d")
    starts = [found.start for found in periods]
    assert starts == sorted(starts)
    page = (ROOT / "docs" / "signals.md").read_text(encoding="utf-8")
    _, after = page.split("\n| era |")
    printed = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in after.splitlines()[2 : 2 + len(table)]
    ]
    expected = [
        [
            str(name),
            f"{row.detected} of {row.periods}",
            "" if math.isnan(row.median_lag) else f"{row.median_lag:g}",
            "" if math.isnan(row.bar_precision) else f"{row.bar_precision:.0%}".replace("%", " %"),
            f"{row.bar_recall:.0%}".replace("%", " %"),
            str(row.alarms),
            str(row.false_alarms),
        ]
        for name, row in zip(table.index, table.itertuples(), strict=True)
    ]
    assert printed == expected
