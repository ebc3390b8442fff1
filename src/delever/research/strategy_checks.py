"""What every strategy owes: exposures on the bars' own index, finite, causal and free of units."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from delever.arguments import Floats, counted
from delever.engine.orders import (
    EXPOSURE,
    ORDER_PRICES,
    ORDERS,
    broken_orders,
    exposure_of,
    misnamed,
    orders_in,
)
from delever.panel import Markets
from delever.research.decision import Decided
from delever.research.lookahead import POINTS, Leak, Seen, ask, differ, find_leak, untouched
from delever.research.panel_perturbation import OF, scaled_markets
from delever.research.perturbation import price_columns
from delever.view import MarketView

_RUNG = re.compile(r"(exposure|limit_price)_?\d+")
_SCALE = 1024.0
"""A power of two: scaled prices are exact, so is every linear computation on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A check that a strategy failed."""

    # ``"same index"``, ``"named lines"``, ``"orders"``, ``"finite after warm-up"``,
    # ``"prefix invariance"``, ``"unit-free"``, ``"within leverage"`` or ``"self-contained"``
    check: str
    message: str  # what was required and what came, with the first bar concerned
    leak: Leak | None = None  # the counterexample, of ``"prefix invariance"``

    def __str__(self) -> str:
        """Check and message."""
        return f"{self.check}: {self.message}"


def check_target(
    answer: object, index: pd.DatetimeIndex, close: pd.Series | None = None
) -> Finding | None:
    """What an answer breaks of the contract of exposures and orders, if anything.

    Lines are looked at by their names alone. With the closes of the bars, stops and targets of
    entries must also stand on the right side of them.
    """
    check = "same index"
    if not isinstance(answer, pd.Series | pd.DataFrame):
        return Finding(
            check=check,
            message="a strategy must return a pandas Series of exposures, or a DataFrame of them "
            f"and its lines; got {type(answer).__name__}",
        )
    if isinstance(answer, pd.DataFrame):
        wrong_names = _check_names(answer)
        if wrong_names:
            return Finding(check="named lines", message=wrong_names)
    target = exposure_of(answer)
    if not target.index.equals(index):
        return Finding(
            check=check,
            message=f"a strategy must return one exposure per bar on market.index; got "
            f"{counted(len(target), 'row')} for {counted(len(index), 'bar')}"
            + _first_mismatch(target.index, index),
        )
    if target.dtype.kind not in "iuf":
        return Finding(
            check="finite after warm-up",
            message=f"exposures must be numbers; got dtype {target.dtype}; "
            "turn a signal into one with delever.signals.sizing.exposure",
        )
    values = exposures(target)
    begun = first_defined(values)
    wrong = ~np.isfinite(values[begun:])
    if not wrong.any():
        return None if isinstance(answer, pd.Series) else _check_orders(answer, close)
    row = begun + int(np.argmax(wrong))
    return Finding(
        check="finite after warm-up",
        message=f"the exposure of bar {index[row]:%Y-%m-%d %H:%M} must be a finite number; "
        f"got {values[row]:g}",
    )


def _check_names(answer: pd.DataFrame) -> str:
    """What is wrong with the columns of an answer; empty when nothing is."""
    names = list(answer.columns)
    unnamed = [name for name in names if not (isinstance(name, str) and name)]
    if unnamed or len(set(names)) < len(names):
        return f"the columns of an answer must be texts, each there once; got {names}"
    if EXPOSURE not in names:
        said = ", ".join(map(repr, names)) or "none"
        return f"a DataFrame must have the column {EXPOSURE!r}, beside its lines; got {said}"
    beyond = [name for name in names if _RUNG.fullmatch(name) and name not in ORDERS]
    if beyond:
        return f"rungs of a ladder must be numbered from 2 to 9; got {beyond[0]!r}"
    return misnamed(names)


def _check_orders(answer: pd.DataFrame, close: pd.Series | None) -> Finding | None:
    for name in answer:
        if name in ORDERS and answer[name].dtype.kind not in "iuf":
            said = f"{name} must hold numbers, NaN for none; got dtype {answer[name].dtype}"
            return Finding(check="orders", message=said)
    target = orders_in(answer)
    broken = "" if isinstance(target, pd.Series) else broken_orders(target, close)
    return Finding(check="orders", message=broken) if broken else None


def check_lines(answer: Decided) -> Finding | None:
    """What the lines of an answer break of their contract: numbers, NaN where there is none."""
    check = "named lines"
    if not isinstance(answer, pd.DataFrame):
        return None
    for name, values in answer.drop(columns=EXPOSURE).items():
        if name in ORDERS:
            continue
        if values.dtype.kind not in "iuf":
            said = f"line {name!r} must hold prices; got dtype {values.dtype}"
            return Finding(check=check, message=said)
        endless = np.isinf(exposures(values))
        if endless.any():
            bar = answer.index[int(np.argmax(endless))]
            said = f"line {name!r}, bar {bar:%Y-%m-%d %H:%M}: a price or NaN is required; got inf"
            return Finding(check=check, message=said)
    return None


def check_panel(answer: object, markets: Markets) -> Finding | None:
    """What an answer breaks of the contract of exposures per symbol, if anything.

    NaN is allowed where a symbol has no bar or is no longer listed, and before its first number.
    """
    if not isinstance(answer, pd.DataFrame):
        return Finding(
            check="same index",
            message="a strategy of several symbols must return a DataFrame of exposures, a column "
            f"per symbol; got {type(answer).__name__}",
        )
    names = [str(name) for name in dict.fromkeys(answer.columns.get_level_values(0))]
    if sorted(names) != sorted(markets.symbols) or answer.columns.has_duplicates:
        ordered = [name for name in names if name in ORDERS]
        more = (
            f"; {ordered[0]!r} is an order's: join a frame per symbol with pandas.concat"
            if ordered
            else ""
        )
        return Finding(
            check="named columns",
            message="a strategy of several symbols must return one column per symbol, "
            f"{', '.join(markets.symbols)}; got {', '.join(map(str, names)) or 'none'}{more}",
        )
    if not answer.index.equals(markets.index):
        return Finding(
            check="same index",
            message="a strategy of several symbols must return one row per row of markets.index; "
            f"got {counted(len(answer), 'row')} for {counted(len(markets.index), 'row')}",
        )
    for name in markets.symbols:
        column = answer[name]
        if isinstance(column, pd.DataFrame):
            wrong = _check_names(column)
            close = markets.known(name, markets[name].bars["close"])
            broken = None if wrong else _check_orders(column, close)
            if wrong or broken is not None:
                said = wrong or (broken.message if broken else "")
                return Finding(
                    check="named lines" if wrong else "orders", message=f"{name}: {said}"
                )
            column = column[EXPOSURE]
        if column.dtype.kind not in "iufb" or column.dtype.kind == "b":
            return Finding(
                check="finite after warm-up",
                message=f"exposures must be numbers; {name} has dtype {column.dtype}; turn a "
                "signal into one with .astype(float)",
            )
        row = _undefined(exposures(column), name, markets)
        if row is not None:
            return Finding(
                check="finite after warm-up",
                message=f"the exposure of {name} at {markets.index[row]:%Y-%m-%d %H:%M} must be a "
                f"finite number; got {column.iloc[row]:g}",
            )
    return None


def _undefined(values: np.ndarray, name: str, markets: Markets) -> int | None:
    """First row at which an exposure that was begun is no number though the symbol has a bar."""
    held = markets.index.isin(markets[name].index)
    lifetime = markets.lifetimes.get(name)
    if lifetime is not None and lifetime.delisted is not None:
        held &= np.asarray(markets.close_time < lifetime.delisted)
    begun = np.arange(len(values)) >= first_defined(values)
    wrong = np.flatnonzero(~np.isfinite(values) & begun & held)
    return int(wrong[0]) if len(wrong) else None


def exposures(target: pd.Series) -> Floats:
    """Numbers of a series, with NaN for what is missing; not to be written to."""
    if isinstance(target.dtype, np.dtype):
        return target.to_numpy(dtype="float64")
    return target.to_numpy(dtype="float64", na_value=np.nan)


def first_defined(values: Floats) -> int:
    """Row of the first number that is not NaN, or how many there are."""
    if not len(values):
        return 0
    row = int(np.argmin(np.isnan(values)))
    return len(values) if np.isnan(values[row]) else row


def _first_mismatch(got: pd.Index, index: pd.DatetimeIndex) -> str:
    for row, (have, want) in enumerate(zip(got, index, strict=False)):
        if have != want:
            return f", and row {row + 1} is {have} instead of {want}"
    return ""


def contract_of(function: Callable[[Any], Decided], market: Seen) -> Finding | None:
    """What an answer on one market, or several, breaks of its contract, if anything."""
    if isinstance(market, Markets):
        return check_panel(function(untouched(market)), market)
    answer = function(untouched(market))
    return check_target(answer, market.index, market.bars["close"]) or check_lines(answer)


def check_strategy(
    function: Callable[..., Decided],
    market: Seen,
    *,
    parameters: Mapping[str, Any] | None = None,
    price_parameters: Collection[str] = (),
    points: int = POINTS,
    seconds: float = 0.0,
    search: bool = True,
    least_lags: Mapping[str, pd.Timedelta] | None = None,
    told: Callable[[int], object] = lambda row: None,
) -> list[Finding]:
    """Run the checks that every strategy must pass; without `search`, all but that for leaks.

    `told` hears of the row of each cut.

    Raises Exception whatever `function` raises on the whole market.
    """
    given = dict(parameters or {})

    def strategy(seen: Seen) -> Decided:
        return function(seen, **given)

    broken = contract_of(strategy, market)
    if broken is not None:
        return [broken]
    found = []
    leak = None
    if search:
        leak = find_leak(
            strategy,
            market,
            points=points,
            seconds=seconds,
            least_lags=least_lags,
            told=told,
        )
    if leak is not None:
        found.append(Finding(check="prefix invariance", message=str(leak), leak=leak))
    scaled = {
        name: _times(value, _SCALE) if name in price_parameters else value
        for name, value in given.items()
    }
    was = ask(strategy, market)
    other = ask(lambda seen: function(seen, **scaled), _rescaled(market, _SCALE))
    message = _units(was, other, market)
    if message:
        found.append(Finding(check="unit-free", message=message))
    return found


def _units(was: Mapping[str, Floats], other: Mapping[str, Floats], market: Seen) -> str:
    """What depends on the unit of prices but may not, or does not but must; empty for nothing."""
    index, several = market.index, isinstance(market, Markets)
    for name, values in was.items():
        own = name.partition(OF)[2] if several else name
        line = own in ORDER_PRICES or own not in ("", EXPOSURE, *ORDERS)
        seen = other.get(name, np.full(len(values), np.nan))
        wrong = np.flatnonzero(differ(values * _SCALE if line else values, seen))
        if not len(wrong):
            continue
        row = int(wrong[0])
        bar = f"bar {index[row]:%Y-%m-%d %H:%M}: {values[row]:g}, but {seen[row]:g}"
        bar = f"{name}, {bar}" if several and not line else bar
        if line:
            what = name if own in ORDERS else f"line {name!r}"
            return (
                f"{what}, {bar} with every price times {_SCALE:g}; a line must stand on the "
                "price scale of the bars, and its name may hold no price"
            )
        return (
            f"{bar} with every price times {_SCALE:g}; mark parameters that are prices with "
            "Annotated[..., Price()], and write no price into the code"
        )
    return ""


def _rescaled(market: Seen, factor: float) -> Seen:
    if isinstance(market, Markets):
        return scaled_markets(market, lambda view: _rescaled_view(view, factor))
    return _rescaled_view(market, factor)


def _rescaled_view(market: MarketView, factor: float) -> MarketView:
    def scaled(bars: pd.DataFrame) -> pd.DataFrame:
        return bars.assign(**(bars[price_columns(bars)] * factor))

    before = market.earlier
    readings = {
        name: replace(was, frame=was.frame.assign(**(was.frame[list(was.prices)] * factor)))
        for name, was in market.readings.items()
    }
    return replace(
        market,
        bars=scaled(market.bars),
        readings=readings,
        earlier=None if before is None else replace(before, bars=scaled(before.bars)),
    )


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_times(part, factor) for part in value)
    return value if value is None else value * factor
