"""Prices that the network itself suggests: where miners switch off, what coins last cost.

The protocol's constants and the machines on sale are facts with dates, so they are readings like
any other: `load_network` turns ``data/bitcoin.toml`` into them.
"""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd

from delever.errors import ConfigError, InputError
from delever.signals.clock import on_bars, own
from delever.signals.feature import Input, WarmUp, feature
from delever.toml_file import read_toml
from delever.view import MarketView, Price, Reading

_DAY = pd.Timedelta(1, "D")
DIFFICULTY = Input(name="difficulty", columns=("difficulty",), lag=_DAY, holds="of mining, by day")
SUBSIDY = Input(name="subsidy", lag=_DAY, holds="new coins per block, by the day it changed")
EFFICIENCY = Input(
    name="efficiency",
    columns=("newest", "previous"),
    lag=_DAY,
    holds="J per 1e12 hashes of the best machine on sale, and of the best before it",
)
REALISED_PRICE = Input(
    name="realised_price",
    lag=pd.Timedelta("1min"),
    holds="average price at which coins last moved, quote units",
)

HASHES_PER_DIFFICULTY = 2**32
_JOULES_PER_KWH = 3.6e6
_TERA = 1e12


def shutdown_value(
    difficulty: Any, subsidy: Any, joules_per_terahash: Any, power_price: float, fees: float = 0.0
) -> Any:
    """Price of a coin at which the power to mine it costs as much as it earns.

    Parameters
    ----------
    difficulty : float or pandas.Series
        Of the network, > 0.
    subsidy : float or pandas.Series
        Coins a block creates, > 0.
    joules_per_terahash : float or pandas.Series
        Energy of 1e12 hashes, J, > 0.
    power_price : float
        Quote units per kWh, > 0.
    fees : float
        Transaction fees of a block as a fraction of its subsidy, >= 0.

    Returns
    -------
    float or pandas.Series
        Quote units per coin, > 0.

    Notes
    -----
    A block takes ``difficulty * 2**32`` hashes on average, each ``joules_per_terahash * 1e-12``
    joules; 3.6e6 J are a kWh. Power alone: machines, buildings and staff are not in it, so a miner
    below this price loses with every hash.

    Examples
    --------
    >>> round(shutdown_value(141.67e12, 3.125, 16.0, 0.08))
    69230
    """
    energy = difficulty * HASHES_PER_DIFFICULTY * joules_per_terahash / _TERA / _JOULES_PER_KWH
    return energy * power_price / (subsidy * (1 + fees))


@feature(
    "shutdown_price",
    unit="price",
    title="where the {machine} machine stops",
    needs=(DIFFICULTY, SUBSIDY, EFFICIENCY),
    warm_up=lambda: WarmUp(),
)
def shutdown_price(
    market: MarketView,
    *,
    power_price: Annotated[float, Price()] = 0.08,
    joules_per_terahash: float | None = None,
    machine: str = "newest",
    fees: float = 0.0,
) -> pd.Series:
    """Price at which a kind of machine no longer earns its power.

    Quote units per coin; it changes when the difficulty, the subsidy or the machine was known
    to have changed. NaN once the difficulty has said nothing for a week.

    Parameters
    ----------
    market : MarketView
        The market; n bars. It needs the readings ``difficulty`` and ``subsidy``, and
        ``efficiency`` unless `joules_per_terahash` is given.
    power_price : float
        Quote units per kWh, > 0.
    joules_per_terahash : float, optional
        One efficiency for all times, J per 1e12 hashes, > 0. Today's machines did not exist ten
        years ago: by default the efficiency is that of `machine` at the time.
    machine : {"newest", "previous"}
        Column of the reading ``efficiency``: the best machine on sale, or the best before it. The
        band between the two is where a fleet in renewal switches off.
    fees : float
        Transaction fees as a fraction of the subsidy, >= 0.

    Raises
    ------
    InputError
        If a reading is missing or a parameter out of range.
    """
    if not (power_price > 0 and fees >= 0 and math.isfinite(power_price + fees)):
        raise InputError(
            f"power_price must be above 0 and fees at least 0; got {power_price:g} and {fees:g}"
        )
    if joules_per_terahash is not None and not 0 < joules_per_terahash < math.inf:
        raise InputError(f"joules_per_terahash must be above 0; got {joules_per_terahash:g}")
    difficulty = on_bars(market, "difficulty", own(market, "difficulty", "difficulty"))
    subsidy = on_bars(market, "subsidy", own(market, "subsidy"), max_age=None)
    energy: float | pd.Series = (
        on_bars(market, "efficiency", own(market, "efficiency", machine), max_age=None)
        if joules_per_terahash is None
        else joules_per_terahash
    )
    price: pd.Series = shutdown_value(
        difficulty.where(difficulty > 0), subsidy, energy, power_price, fees
    )
    return price.rename("shutdown_price")


@feature(
    "shutdown_distance",
    unit="fraction",
    title="< 0: the {machine} machine mines at a loss",
    needs=(DIFFICULTY, SUBSIDY, EFFICIENCY),
    warm_up=lambda: WarmUp(),
)
def shutdown_distance(
    market: MarketView,
    *,
    power_price: Annotated[float, Price()] = 0.08,
    joules_per_terahash: float | None = None,
    machine: str = "newest",
    fees: float = 0.0,
) -> pd.Series:
    """How far the price stands above the one at which miners switch off.

    ``close / shutdown price - 1``, fraction, < 0: power costs more than the coin.

    Parameters
    ----------
    market, power_price, joules_per_terahash, machine, fees
        As in `shutdown_price`.

    Raises
    ------
    InputError
        If a reading is missing or a parameter out of range.
    """
    price = shutdown_price(
        market,
        power_price=power_price,
        joules_per_terahash=joules_per_terahash,
        machine=machine,
        fees=fees,
    )
    return (market.bars["close"] / price - 1).rename("shutdown_distance")


def realised_price(
    market: MarketView, *, multiple: float = 1.0, series: str = "realised_price"
) -> pd.Series:
    """Average price at which coins last moved, or a multiple of it.

    Parameters
    ----------
    market : MarketView
        The market; n bars. The reading is a price: mark its column in `Reading.prices`.
    multiple : float
        > 0; bands are drawn at multiples.
    series : str
        Name of the reading.

    Returns
    -------
    pandas.Series, shape (n,)
        In quote units; NaN once the reading has said nothing for a week.

    Raises
    ------
    InputError
        If the reading is missing or `multiple` is not above 0.
    """
    if not 0 < multiple < math.inf:
        raise InputError(f"multiple must be above 0; got {multiple:g}")
    return on_bars(market, series, own(market, series) * multiple)


@feature(
    "realised_price_distance",
    unit="fraction",
    title="< 0: the average holder is at a loss",
    needs=(REALISED_PRICE,),
    warm_up=lambda: WarmUp(),
)
def realised_price_distance(market: MarketView, *, series: str = "realised_price") -> pd.Series:
    """How far the price stands above the average price at which coins last moved.

    ``close / realised price - 1``, fraction, < 0: the average holder is at a loss.

    Raises
    ------
    InputError
        If the reading is missing.
    """
    value = realised_price(market, series=series)
    return (market.bars["close"] / value.where(value > 0) - 1).rename("realised_price_distance")


def load_network(path: str | Path) -> dict[str, Reading]:
    """Read the protocol's subsidies and the machines on sale from a TOML file.

    Parameters
    ----------
    path : str or pathlib.Path
        Such as ``data/bitcoin.toml``: arrays of tables ``subsidies`` (``from``, ``height``,
        ``coins``, ``source``) and ``machines`` (``from``, ``name``, ``joules_per_terahash``,
        ``source``), in order of time.

    Returns
    -------
    dict of str to Reading
        ``subsidy`` (column ``coins``) and ``efficiency`` (columns ``newest`` and ``previous``,
        J per 1e12 hashes). Each row is known at the end of its day.

    Raises
    ------
    ConfigError
        If the file is missing or no such TOML, dates do not increase, a subsidy does not halve,
        or a machine is no better than the one before it.
    """
    where = Path(path)
    try:
        document = read_toml(where)
    except FileNotFoundError:
        raise ConfigError(f"{where}: there is no such file; copy data/bitcoin.toml there") from None
    coins = _dated(document, "subsidies", "coins", where)
    joules = _dated(document, "machines", "joules_per_terahash", where)
    if not np.allclose(coins.to_numpy()[1:] * 2, coins.to_numpy()[:-1], rtol=0, atol=0):
        raise ConfigError(f"{where}: every subsidy must be half of the one before it; correct it")
    if (joules.diff() >= 0).any():
        raise ConfigError(
            f"{where}: every machine must need less than the one before it; sort them"
        )
    machines = pd.DataFrame({"newest": joules, "previous": joules.shift(1)})
    return {
        "subsidy": Reading(frame=coins.to_frame("coins"), publication_lag=_DAY),
        "efficiency": Reading(frame=machines, publication_lag=_DAY),
    }


def _dated(document: dict[str, Any], table: str, key: str, where: Path) -> pd.Series:
    rows = document.get(table)
    if not isinstance(rows, list) or not rows:
        raise ConfigError(f"{where}: at least one [[{table}]] is required; there is none; add it")
    days, values = [], []
    for number, row in enumerate(rows, start=1):
        day, value = row.get("from"), row.get(key)
        number_like = isinstance(value, int | float) and not isinstance(value, bool)
        if not isinstance(day, dt.date) or not number_like or not 0 < value < math.inf:
            raise ConfigError(
                f"{where}: number {number} of {table} needs from (a date) and {key} (a number "
                f"above 0); got {day!r} and {value!r}; correct it"
            )
        days.append(pd.Timestamp(day, tz="UTC"))
        values.append(float(value))
    index = pd.DatetimeIndex(days).as_unit("ns").rename("timestamp")
    if not index.is_monotonic_increasing or index.has_duplicates:
        raise ConfigError(f"{where}: dates of {table} must increase; sort them")
    return pd.Series(values, index=index, dtype="float64")
