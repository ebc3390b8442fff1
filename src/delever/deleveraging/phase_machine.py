"""The phase a market is in, as known at each bar's close: a state machine with hysteresis.

calm
    nothing of the following;
build_up
    leverage builds up: its index is above ``build_enter``, until it falls below ``build_exit``;
cascade
    forced selling: from any phase at the lowest low of the last ``low_days`` while the forced
    flow is above ``flow_enter``, or at their lowest close while stress is above ``enter``;
washout
    the selling has dried up: in a cascade, no lower low for ``quiet_days``; a lower one while
    stress is above ``exit``, or the forced flow above ``flow_enter``, is a cascade again;
recovery
    stress has been below ``exit`` for ``calm_days``; it ends when ``regained`` of the fall is won
    back, or after ``recovery_days``.

The phases of `delever.deleveraging.phases` bear the same names and are drawn with hindsight; these
are not, so they may be used as a signal and are often wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.deleveraging.stress import BUILD_UP, forced_flow, stress_index
from delever.errors import InputError
from delever.signals.clock import bars_in
from delever.view import MarketView

MARKET_PHASES = ("calm", "build_up", "cascade", "washout", "recovery")
"""In the order they follow each other."""

_CALM, _BUILD_UP, _CASCADE, _WASHOUT, _RECOVERY = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRules:
    """When a phase begins and ends; round figures, not fitted to the catalogue.

    Raises InputError if a parameter lies outside its range.
    """

    # levels of the stress index, 0 < `exit` < `enter` < 1: above the first a new low is a cascade,
    # below the second it is over
    enter: float = 0.95
    exit: float = 0.8
    # The forced flow above which a new low is a cascade, wherever its bar closed, in (0, 1)
    flow_enter: float = 0.99
    # levels of the index of leverage, 0 < `build_exit` < `build_enter` < 1
    build_enter: float = 0.9
    build_exit: float = 0.7
    low_days: float = 7  # A cascade begins at the lowest low or close of so many days, > 0
    quiet_days: float = 3  # days without a lower low that make a washout, > 0
    calm_days: float = 3  # days in a row with stress below `exit` that end the selling, > 0
    recovery_days: float = 30  # the most a recovery may last, > 0
    regained: float = 0.5  # share of the fall whose recovery ends it, in (0, 1]

    def __post_init__(self) -> None:
        for low, high in (("exit", "enter"), ("build_exit", "build_enter")):
            if not 0 < getattr(self, low) < getattr(self, high) < 1:
                raise InputError(
                    f"{low} and {high} of the phases must satisfy 0 < {low} < {high} < 1; "
                    f"got {getattr(self, low):g} and {getattr(self, high):g}"
                )
        if not 0 < self.flow_enter < 1:
            raise InputError(
                f"flow_enter of the phases must lie in (0, 1); got {self.flow_enter:g}"
            )
        for name in ("low_days", "quiet_days", "calm_days", "recovery_days", "regained"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} of the phases must be above 0")
        if self.regained > 1:
            raise InputError(f"regained of the phases must be <= 1; got {self.regained:g}")


@dataclass(slots=True, kw_only=True)
class _Fall:
    """What is remembered of the fall of a cascade and its washout."""

    high: float = float("nan")
    low: float = float("inf")
    bars_since_low: int = 0
    calm_bars: int = 0
    recovery_bars: int = 0


def causal_phases(
    close: pd.Series,
    stress: pd.Series,
    build_up: pd.Series,
    timeframe: str,
    rules: PhaseRules | None = None,
    *,
    low: pd.Series | None = None,
    flow: pd.Series | None = None,
) -> pd.Series:
    """Phase of each bar, as known at its close; NaN until there is an index of stress.

    Without lows the closes stand for them; without a forced flow stress alone begins a cascade.

    Raises InputError if the series are not on the same bars.
    """
    low = close if low is None else low
    flow = pd.Series(np.nan, index=close.index) if flow is None else flow
    if not all(close.index.equals(other.index) for other in (stress, build_up, low, flow)):
        raise InputError(
            "close, stress, build_up, low and flow must have the same bars; align them first"
        )
    rules = rules or PhaseRules()
    bars = {
        name: bars_in(getattr(rules, name), timeframe)
        for name in ("low_days", "quiet_days", "calm_days", "recovery_days")
    }

    def lowest(values: pd.Series) -> pd.Series:
        return values <= values.rolling(bars["low_days"] + 1, min_periods=1).min()

    highest = close.rolling(bars["low_days"] + 1, min_periods=1).max()
    forced = flow >= rules.flow_enter
    falls = ((stress >= rules.enter) & lowest(close)) | (forced & lowest(low))
    columns = (close, low, stress, build_up, forced, falls, highest)
    codes, phase, fall = [], _CALM, _Fall()
    for price, down_to, strain, leverage, is_forced, falling, high in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        if phase in (_CASCADE, _WASHOUT):
            selling = is_forced or strain >= rules.exit
            calm = not is_forced and strain < rules.exit
            phase = _after_a_bar_of_selling(phase, down_to, selling, calm, fall, bars)
        elif falling:
            phase, fall = _CASCADE, _Fall(high=high, low=down_to)
        elif phase == _RECOVERY:
            fall.recovery_bars += 1
            regained = price >= fall.low + rules.regained * (fall.high - fall.low)
            if regained or fall.recovery_bars >= bars["recovery_days"]:
                phase = _CALM
        elif phase == _CALM and leverage >= rules.build_enter:
            phase = _BUILD_UP
        elif phase == _BUILD_UP and leverage < rules.build_exit:
            phase = _CALM
        codes.append(phase)
    known = ~np.logical_and.accumulate(stress.isna().to_numpy())
    kind = pd.CategoricalDtype(list(MARKET_PHASES), ordered=True)
    categories = pd.Categorical.from_codes(np.where(known, codes, -1), dtype=kind)
    return pd.Series(categories, index=close.index, name="phase")


def _after_a_bar_of_selling(
    phase: int, low: float, selling: bool, calm: bool, fall: _Fall, bars: dict[str, int]
) -> int:
    """Next phase after a bar in a cascade or a washout."""
    lower = low < fall.low
    fall.low = min(fall.low, low)
    fall.bars_since_low = 0 if lower else fall.bars_since_low + 1
    fall.calm_bars = fall.calm_bars + 1 if calm else 0
    if fall.calm_bars >= bars["calm_days"]:
        return _RECOVERY
    if lower and selling:
        return _CASCADE
    return _WASHOUT if fall.bars_since_low >= bars["quiet_days"] else phase


def is_deleveraging(phases: pd.Series) -> pd.Series[bool]:
    """Whether the market was deleveraging: in a cascade or a washout; bars without a phase go."""
    known = phases[phases.notna()]
    on: pd.Series[bool] = known.isin(["cascade", "washout"])
    return on.rename("deleveraging")


def market_phases(market: MarketView, rules: PhaseRules | None = None) -> pd.Series:
    """Phase of each bar of a market, from every reading it has.

    Raises InputError if a reading is declared with a publication lag shorter than the least that is
    honest.
    """
    stress = stress_index(market).value
    leverage = stress_index(market, BUILD_UP, least_coverage=0.5).value
    bars = market.bars
    return causal_phases(
        bars["close"],
        stress,
        leverage,
        market.timeframe,
        rules,
        low=bars.get("low", bars["close"]),
        flow=forced_flow(market),
    )
