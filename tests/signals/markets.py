"""A made-up market with every reading a feature may need, the same each time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from delever.view import MarketView, Reading

DAY = pd.Timedelta(1, "D")


def made_up(days: int = 1_560, timeframe: str = "1d", seed: int = 7) -> MarketView:
    """Two booms, the second the higher one, then a struggle around the long average."""
    rng = np.random.default_rng(seed)
    steps = {"1d": DAY, "6h": pd.Timedelta(6, "h"), "1h": pd.Timedelta(1, "h")}
    per_day = DAY // steps[timeframe]
    n = days * per_day
    # A Monday, so that weeks are whole from the first bar on.
    index = pd.date_range("2021-01-04", periods=n, freq=steps[timeframe], tz="UTC").as_unit("ns")
    day = np.arange(n) / per_day
    path = 0.9 * np.sin(2 * np.pi * day / 650) + 0.0006 * day
    late = day >= 1_300
    average = np.log(np.exp(path[~late]).mean())
    path[late] = average + 0.15 * np.sin(2 * np.pi * day[late] / 37)
    close = 30_000 * np.exp(path + rng.normal(0, 0.02, n))
    opened = np.concatenate([[30_000.0], close[:-1]])
    wick = np.abs(rng.normal(0, 0.01, (2, n)))
    bars = pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * (1 + wick[0]),
            "low": np.minimum(opened, close) * (1 - wick[1]),
            "close": close,
            "volume": rng.lognormal(5, 1, n),
        },
        index=index,
    )
    return MarketView(bars=bars, timeframe=timeframe, readings=readings(index, rng))


def readings(index: pd.DatetimeIndex, rng: np.random.Generator) -> dict[str, Reading]:
    first, last = index[0], index[-1]

    def stamps(step: str) -> pd.DatetimeIndex:
        return pd.date_range(first, last, freq=step, tz="UTC").as_unit("ns")

    def walk(count: int, size: float) -> np.ndarray:
        return 100 * np.exp(np.cumsum(rng.normal(0, size, count)))

    def reading(lag: str, at: pd.DatetimeIndex, prices: tuple[str, ...] = (), **columns: object):
        frame = pd.DataFrame(columns, index=at)
        return Reading(frame=frame, publication_lag=pd.Timedelta(lag), prices=prices)

    days, eights, fours = stamps("D"), stamps("8h"), stamps("4h")
    sessions = days[days.day_of_week < 5]
    epochs = np.arange(len(days)) // 14
    facts = pd.DatetimeIndex([first - 2 * DAY, first + 500 * DAY])
    made = {
        "funding": reading("0h", eights, funding_rate=rng.normal(1e-4, 3e-4, len(eights))),
        "open_interest": reading("24h", days, usd=1e8 * walk(len(days), 0.03)),
        "liquidations": reading(
            "4h",
            fours,
            long_liq_usd=rng.gamma(0.5, 1e6, len(fours)),
            short_liq_usd=rng.gamma(0.5, 1e6, len(fours)),
        ),
        "long_short_ratio": reading("24h", days, ratio=rng.lognormal(0, 0.2, len(days))),
        "fear_greed": reading("8h", days, fng=rng.integers(5, 95, len(days)).astype(float)),
        "dvol": reading("24h", days, dvol=walk(len(days), 0.05)),
        "etf_flows": reading(
            "32h", sessions, total_usd_m=rng.normal(0, 200, len(sessions)), one=0.0
        ),
        "difficulty": reading("24h", days, difficulty=1e13 * np.exp(0.02 * epochs), rate=1.0),
        "subsidy": reading("24h", facts, coins=[6.25, 3.125]),
        "efficiency": reading("24h", facts, newest=[29.5, 21.5], previous=[39.5, 29.5]),
        "realised_price": reading("24h", days, ("usd",), usd=250 * walk(len(days), 0.01)),
    }
    beside = ("vix", "igv", "qqq", "gold")
    return made | {
        name: reading("24h", sessions, open=1.0, close=walk(len(sessions), 0.02)) for name in beside
    }
