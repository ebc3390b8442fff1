"""Whether the inputs of one account belong together: one coin, one multiplier, one price scale."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from delever.arguments import price_ratio
from delever.data.references import Dataset
from delever.engine.settings import Account
from delever.errors import ConfigError, DataError
from delever.study.workspaces.workspace import Workspace
from delever.units import timeframe_delta
from delever.venues.contract import PerpContract
from delever.venues.rules import EVERY_SYMBOL, Rules
from delever.view import MarketView

_ALSO = {"XBT": "BTC", "XDG": "DOGE"}
_MULTIPLIER = re.compile(r"(1000000|100000|10000|1000|1M|k)(?=[A-Z]{2})")
_UNITS = {"1M": 1_000_000, "k": 1_000}
_OF_A_COIN = ("mark", "index", "premium", "funding", "open_interest", "long_short_ratio")
_APART = 0.01


class Coin(NamedTuple):
    """What one unit of a symbol is."""

    name: str
    units: int  # coins that a price is quoted for
    quote: str

    @property
    def base(self) -> str:
        """The coin with its multiplier."""
        return self.name if self.units == 1 else f"{self.units:,} {self.name}"


def coin_of(symbol: str) -> Coin | None:
    """What a unified symbol is of; None where it is the name of something else."""
    base, slash, rest = symbol.partition("/")
    if not slash:
        return None
    found = _MULTIPLIER.match(base)
    units = 1 if found is None else _UNITS.get(found[1]) or int(found[1])
    name = base if found is None else base[found.end() :]
    return Coin(_ALSO.get(name, name), units, rest.partition(":")[0])


def belonging(
    symbol: str,
    account: Account | None,
    named: Mapping[str, Dataset],
    beside: Mapping[str, Dataset] | None = None,
) -> tuple[str, ...]:
    """What is to be said of inputs that are not of the very market of the bars.

    Those `named`, by role, must be of the same coin as the contract and rules of the account are
    held to; series `beside` may be of any.

    Raises ConfigError if one of them is of another coin or multiplier.
    """
    bars = coin_of(symbol)
    if bars is None:
        return ()
    others = {role: (data.reference.symbol, str(data.reference)) for role, data in named.items()}
    if account is not None:
        traded = account.contract
        contract = traded.symbol if isinstance(traded, PerpContract) else traded
        ruled = account.rules.contract.symbol if isinstance(account.rules, Rules) else None
        for role, said in (("contract", contract), ("rules", ruled)):
            if said is not None and said != EVERY_SYMBOL:
                others[role] = (said, said)
    quoted = []
    for role, (own, shown) in others.items():
        coin = coin_of(own)
        if coin is None:
            continue
        # A rate is a fraction, whatever it is of.
        if coin.name != bars.name or (coin.units != bars.units and role != "funding"):
            raise ConfigError(
                f"{role} must be of what the bars are of, {bars.base} ({symbol}); got {coin.base} "
                f"({shown}); name that of {bars.base}, or other bars"
            )
        if coin.quote != bars.quote:
            quoted.append(f"{role} in {coin.quote}")
    notes = []
    if quoted:
        notes.append(f"the bars are quoted in {bars.quote}, {', '.join(quoted)}")
    for name, data in (beside or {}).items():
        coin = coin_of(data.reference.symbol) if data.reference.kind in _OF_A_COIN else None
        if coin is not None and coin.name != bars.name:
            notes.append(
                f"the series {name} is of {coin.name} ({data.reference}), the bars are of "
                f"{bars.name}"
            )
    return tuple(notes)


def account_on(
    market: MarketView, account: Account | None, place: Workspace
) -> tuple[MarketView, Account | None]:
    """A market with what is to be said of an account on it, and the account with what it names.

    Raises as `Workspace.account`, and ConfigError if something is of another coin.
    """
    loaded, named = place.account(account)
    notes = belonging(market.symbol, loaded, named)
    return replace(market, notes=market.notes + notes), loaded


def joined(earlier: pd.DataFrame, bars: pd.DataFrame, warmup: Dataset) -> tuple[str, ...]:
    """What is to be said of warm-up bars that lead up to the bars of a run.

    Raises DataError if the two stand on different price scales, by what `warmup` holds of the time
    of the bars, or the step from the last of one to the first of the other is none that such prices
    take.
    """
    name = f"warmup {warmup.reference}"
    both = warmup.frame.index.intersection(bars.index)
    if len(both):
        theirs, ours = (
            frame.loc[both, "close"].to_numpy(dtype=np.float64) for frame in (warmup.frame, bars)
        )
        ratio = price_ratio(name, theirs, ours)
        apart = abs(ratio - 1.0) > _APART
        return (f"{name} stands at {ratio:.4g} times the bars where they overlap",) * apart
    last, first = float(earlier["close"].iloc[-1]), float(bars["open"].iloc[0])
    gap = (bars.index[0] - earlier.index[-1]) / timeframe_delta(warmup.reference.timeframe)
    closes = np.log(np.concatenate([earlier["close"].to_numpy(), bars["close"].to_numpy()]))
    steps = np.abs(np.delete(np.diff(closes), len(earlier) - 1))
    usual = float(np.sqrt(np.mean(steps**2))) if len(steps) else 0.0
    if abs(math.log(first / last)) > max(math.log(2.0), 10.0 * usual * math.sqrt(gap)):
        raise DataError(
            f"{name} must lead up to the bars; its last close before them is {last:,.6g} and they "
            f"open at {first:,.6g} on {bars.index[0]:%Y-%m-%d %H:%M}, {first / last:,.4g} times "
            "that; name earlier bars of the same market"
        )
    return ()
