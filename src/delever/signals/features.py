"""The one table of features: what each measures, what it needs, and when it can first be known.

A study, the look-ahead check and the composite stress index take features from here by name, so
that a feature added to the table is checked like all the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import pandas as pd

from delever.errors import InputError
from delever.signals import averages as trend
from delever.signals import cross, leverage, profile
from delever.signals import mood as sentiment
from delever.signals import network as onchain
from delever.signals import price_features as f
from delever.signals.breaks import LABELS
from delever.signals.readings import INPUTS, check_lag
from delever.signals.volatility import Estimator
from delever.view import MarketView

__all__ = ["FEATURES", "Feature", "available", "feature", "measure"]

Unit: TypeAlias = Literal[
    "fraction",
    "coefficient",
    "log",
    "deviations",
    "days",
    "count",
    "ranges",
    "points",
    "price",
    "vendor",
    "event",
]
"""Of a feature: a fraction; a correlation or slope of returns; a natural logarithm; standard
deviations; days; a signed count; average true ranges; a publisher's points; quote units per base
unit; the vendor's unit; or a bool per bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A causal reading of the market.

    Attributes
    ----------
    name : str
        Its name in the table.
    unit : str
        See `Unit`.
    meaning : str
        One sentence, with the sign.
    inputs : tuple of str
        Readings it needs beside the bars, names in `INPUTS`.
    warm_up : pandas.Timedelta
        From the first bar (or the first row of the readings, whichever is later) to the earliest
        bar close at which it can be defined. Levels and events that wait for something to happen
        may take longer.
    compute : callable
        From a market, and keyword parameters with defaults, to one value per bar.
    """

    name: str
    unit: Unit
    meaning: str
    inputs: tuple[str, ...] = ()
    warm_up: pd.Timedelta
    compute: Callable[..., pd.Series]


def _feature(
    name: str,
    unit: Unit,
    days: float,
    compute: Callable[..., pd.Series],
    meaning: str,
    *inputs: str,
) -> Feature:
    return Feature(
        name=name,
        unit=unit,
        meaning=meaning,
        inputs=inputs,
        warm_up=pd.Timedelta(days=days),
        compute=compute,
    )


def _price_features() -> list[Feature]:
    estimators: dict[Estimator, float] = {
        "close_to_close": 30,
        "parkinson": 30,
        "garman_klass": 30,
        "yang_zhang": 30,
    }
    return [
        _feature("fall_speed", "deviations", 97, f.fall_speed, "fall from the week's high, <= 0"),
        *(
            _feature(
                f"volatility_{name}",
                "fraction",
                days,
                partial(f.realised_volatility, estimator=name),
                "realised volatility of a year",
            )
            for name, days in estimators.items()
        ),
        _feature("volume_shock", "log", 31, f.volume_shock, "volume of a day against the month"),
        _feature(
            "ma200w_distance", "fraction", 1400, trend.average_distance, "close against the average"
        ),
        _feature(
            "ma200w_slope",
            "fraction",
            1428,
            trend.average_slope,
            "change of the average in four weeks",
        ),
        _feature("ma200w_days_below", "days", 1400, f.average_days_below, "days in a row below it"),
        *(
            _feature(
                f"ma200w_{label}",
                "event",
                1400,
                partial(f.average_event, label=label),
                f"{label.replace('_', ' ')}: the 200-week average, on weekly closes",
            )
            for label in LABELS
        ),
    ]


def _level_features() -> list[Feature]:
    return [
        _feature("weekly_average", "price", 1400, trend.weekly_average, "sma of 200 closed weeks"),
        _feature("rolling_support", "price", 183, f.rolling_support, "lowest low of 26 weeks"),
        _feature("round_support", "price", 1, f.round_support, "round number below the price"),
        _feature("swing_support", "price", 11, f.swing_support, "nearest swing low below"),
        _feature("cycle_support", "price", 1, f.cycle_support, "nearest former cycle high below"),
        _feature("fibonacci_support", "price", 31, f.fibonacci_support, "nearest ratio below"),
        _feature("volume_support", "price", 365, f.volume_support, "nearest volume node below"),
        _feature(
            "swing_vwap", "price", 31, profile.swing_vwap, "average price since the swing high"
        ),
        _feature("breach_depth", "ranges", 183, f.breach_depth, "> 0 below the rolling support"),
        *(
            _feature(
                f"support_{label}",
                "event",
                183,
                partial(f.support_event, label=label),
                f"{label.replace('_', ' ')}: the 26-week low, on closes",
            )
            for label in (*LABELS, "confirmed", "breach")
        ),
    ]


def _leverage_features() -> list[Feature]:
    total = "forced liquidations of 24 hours"
    return [
        _feature(
            "daily_funding",
            "fraction",
            1,
            leverage.daily_funding,
            "of 24 hours, > 0: longs pay",
            "funding",
        ),
        _feature(
            "funding_zscore",
            "deviations",
            91,
            leverage.funding_zscore,
            "daily funding, < 0: below usual",
            "funding",
        ),
        _feature(
            "funding_streak",
            "count",
            0,
            leverage.funding_streak,
            "settlements of one sign",
            "funding",
        ),
        _feature(
            "open_interest_change",
            "log",
            7,
            leverage.open_interest_change,
            "in a week, base units, < 0: positions closed",
            "open_interest",
        ),
        _feature(
            "open_interest_divergence",
            "deviations",
            97,
            leverage.open_interest_divergence,
            "> 0: positions grow while the price lags",
            "open_interest",
        ),
        _feature(
            "liquidation_total", "vendor", 1, leverage.liquidation_total, total, "liquidations"
        ),
        _feature(
            "liquidation_shock",
            "log",
            31,
            leverage.liquidation_shock,
            "liquidations of a day against the month",
            "liquidations",
        ),
        _feature(
            "liquidation_long_share",
            "fraction",
            1,
            leverage.liquidation_long_share,
            "longs among the liquidated",
            "liquidations",
        ),
        _feature(
            "long_short_zscore",
            "deviations",
            90,
            leverage.long_short_zscore,
            "> 0: more are long than usual",
            "long_short_ratio",
        ),
    ]


def _mood_features() -> list[Feature]:
    s = sentiment
    return [
        _feature("fear_greed", "points", 0, s.index_level, "0 fear, 100 greed", "fear_greed"),
        _feature(
            "dvol", "fraction", 0, s.implied_volatility, "implied volatility of a year", "dvol"
        ),
        _feature("dvol_jump", "log", 1, s.implied_volatility_jump, "its change in a day", "dvol"),
        _feature("vix_change", "fraction", 1, s.session_change, "change in a session", "vix"),
        _feature(
            "etf_flow_week", "vendor", 4, s.flow_sum, "flow of five sessions, < 0: out", "etf_flows"
        ),
        _feature(
            "etf_flow_streak",
            "count",
            0,
            s.flow_streak,
            "sessions of one sign, < 0: out",
            "etf_flows",
        ),
        *(
            _feature(
                f"{name}_{kind}",
                unit,
                days,
                partial(compute, series=name),
                f"{kind} with {name.upper()}",
                name,
            )
            for name in ("igv", "qqq")
            for kind, unit, days, compute in _beside()
        ),
        _feature(
            "gold_gap", "fraction", 7, cross.haven_gap, "gold minus the market, a week", "gold"
        ),
    ]


def _beside() -> list[tuple[str, Unit, float, Callable[..., pd.Series]]]:
    return [
        ("correlation", "coefficient", 42, cross.rolling_correlation),
        ("beta", "coefficient", 84, cross.rolling_beta),
    ]


def _network_features() -> list[Feature]:
    needs = ("difficulty", "subsidy", "efficiency")
    return [
        _feature(
            "shutdown_price",
            "price",
            0,
            onchain.shutdown_price,
            "where the newest machine stops",
            *needs,
        ),
        _feature(
            "shutdown_distance",
            "fraction",
            0,
            onchain.shutdown_distance,
            "< 0: it mines at a loss",
            *needs,
        ),
        _feature(
            "realised_price_distance",
            "fraction",
            0,
            onchain.realised_price_distance,
            "< 0: the average holder is at a loss",
            "realised_price",
        ),
    ]


FEATURES: Mapping[str, Feature] = {
    item.name: item
    for item in (
        *_price_features(),
        *_level_features(),
        *_leverage_features(),
        *_mood_features(),
        *_network_features(),
    )
}
"""Every feature, by name."""


def feature(name: str) -> Feature:
    """Look a feature up by name.

    Parameters
    ----------
    name : str
        Such as ``"funding_zscore"``.

    Returns
    -------
    Feature

    Raises
    ------
    InputError
        If there is no such feature; the message lists those there are.
    """
    if name not in FEATURES:
        raise InputError(f"a feature must be one of {', '.join(FEATURES)}; got {name!r}")
    return FEATURES[name]


def measure(name: str, market: MarketView, **parameters: object) -> pd.Series:
    """Compute a feature after checking that its readings are declared honestly.

    Parameters
    ----------
    name : str
        A key of `FEATURES`.
    market : MarketView
        The market; n bars, with the readings the feature needs.
    **parameters : object
        Keyword parameters of the feature's function.

    Returns
    -------
    pandas.Series, shape (n,)
        On the market's index, named like the feature, as known at each bar's close (levels:
        before its open).

    Raises
    ------
    InputError
        If the feature is unknown, a reading is missing, or its publication lag is shorter than
        the least that is honest.
    """
    wanted = feature(name)
    for reading in wanted.inputs:
        check_lag(market, INPUTS[reading])
    return wanted.compute(market, **parameters).rename(name)


def available(market: MarketView) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which features a market has the readings for.

    Parameters
    ----------
    market : MarketView
        The market.

    Returns
    -------
    tuple of two tuples of str
        Names of features that can be computed, and names of the readings that are missing for
        the others.
    """
    there = market.readings.keys()
    able = tuple(item.name for item in FEATURES.values() if there >= set(item.inputs))
    return able, tuple(name for name in INPUTS if name not in there)
