"""Random legs for the tests of an account of several positions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from tests.reference.plain_loops import plain_loops

from delever.engine.portfolio import Leg, Margin, PortfolioBacktest, portfolio_backtest
from delever.engine.settings import Account, FundingSeries
from delever.venues.brackets import Bracket
from delever.venues.contract import PerpContract
from delever.venues.costs import Borrow, Costs
from delever.venues.margin_formulas import FORMULAS
from delever.venues.rules import AccountRule, Dated, Fees, Rulebook, Rules

COSTS = Costs(taker_fee=0.0007, maker_fee=0.0002, slippage=0.0005)
ONE = (Bracket(cap=np.inf, maintenance_margin_rate=0.01, max_leverage=50.0),)
MANY = (
    Bracket(cap=4_000.0, maintenance_margin_rate=0.01, max_leverage=50.0),
    Bracket(cap=np.inf, maintenance_margin_rate=0.03, max_leverage=25.0, maintenance_amount=80.0),
)


def plainly(legs: dict[str, Leg], targets: pd.DataFrame, **asked: Any) -> PortfolioBacktest:
    """A run by the loop in plain Python, which is written apart from the compiled one."""
    with plain_loops():
        return portfolio_backtest(legs, targets, **asked)


def flat_bars(price: float, times: pd.DatetimeIndex) -> pd.DataFrame:
    columns = dict.fromkeys(["open", "high", "low", "close"], price)
    return pd.DataFrame(columns, index=times).assign(volume=1.0)


def wild_bars(chance: np.random.Generator, times: pd.DatetimeIndex, wild: float) -> pd.DataFrame:
    gap, body, up, down = np.exp(
        wild * chance.standard_normal((4, len(times))) * [[0.3], [1], [1], [1]]
    )
    close = 100.0 * np.cumprod(gap * body)
    opened = close / body
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * np.maximum(up, 1.0),
            "low": np.minimum(opened, close) * np.minimum(down, 1.0),
            "close": close,
            "volume": 1.0,
        },
        index=times,
    )


def days(size: int) -> pd.DatetimeIndex:
    return pd.date_range("2021-01-01", periods=size, tz="UTC")


def rules(brackets: tuple[Bracket, ...], symbol: str, *, liquidation: float = 0.005) -> Rules:
    return Rules(
        venue="test",
        valid_from=date(2000, 1, 1),
        contract=PerpContract(symbol=symbol),
        formula=FORMULAS["binance_linear"],
        brackets=brackets,
        fees=Fees(maker=0.0, taker=0.0, liquidation=liquidation),
        funding_hours=(8,),
        notes=(),
    )


def perpetual(
    symbol: str,
    brackets: tuple[Bracket, ...] = ONE,
    *,
    leverage: float = 1.0,
    liquidation: float = 0.0,
    **settings: Any,
) -> Account:
    """A perpetual without funding, unless a setting brings some."""
    unless = {"funding_policy": "missing-is-zero"} | settings
    return Account(
        contract=PerpContract(symbol=symbol),
        rules=rules(brackets, symbol, liquidation=liquidation),
        leverage=leverage,
        **unless,
    )


def funding(chance: np.random.Generator, times: pd.DatetimeIndex) -> FundingSeries:
    stamps = pd.date_range(times[0], times[-1] + pd.Timedelta(days=1), freq="8h")
    return FundingSeries.of(pd.Series(0.002 * chance.standard_normal(len(stamps)), index=stamps))


def rulebook(cut: str, size: float, first: str) -> Rulebook:
    """Account rules alone: how positions are taken down."""
    rule = AccountRule(cut=cut, size=size, above=1_000.0, first=first)  # type: ignore[arg-type]
    day = date(2000, 1, 1)
    return Rulebook(
        venue="test", path="test.toml", sha256="", assume_before=False, listings={},
        accounts=(Dated(valid_from=day, rule=rule, source="", as_of=day),),
    )  # fmt: skip


HOWS = {
    "separate": Margin(mode="separate"),
    "isolated": Margin(mode="isolated"),
    "cross": Margin(),
    "by brackets": Margin(rules=rulebook("tier", 1.0, "largest_loss")),
    "by a share": Margin(rules=rulebook("share", 0.3, "largest_margin")),
    "collateral": Margin(mode="multi_asset", counted={"C2": 0.9, "A3": 0.5}),
    "all": Margin(
        mode="multi_asset",
        rules=rulebook("tier", 1.0, "largest_margin"),
        counted={"C2": 0.9, "A3": 0.5},
    ),
}
"""Ways to share margin."""


def how_of(name: str, legs: Any) -> Margin:
    """One of them for some legs: only spot counts."""
    how = HOWS[name]
    if how.counted is None:
        return how
    spot = [leg for leg in legs if legs[leg].account.contract is None]
    return replace(how, counted={leg: how.counted[leg] for leg in spot if leg in how.counted})


def said_with(chance: np.random.Generator, asked: pd.Series, close: pd.Series) -> pd.DataFrame:
    """Orders at levels beside exposures: stops, targets, ladders of two rungs, time stops."""
    close, side = close.reindex(asked.index).ffill().bfill(), np.sign(asked).replace(0.0, np.nan)

    def level(away: float, share: float) -> pd.Series:
        return (close * (1.0 + side * away)).where(chance.random(len(asked)) < share)

    frame = pd.DataFrame({"exposure": 0.6 * asked})
    frame["limit_price"], frame["limit_price_2"] = level(-0.01, 0.5), level(-0.05, 0.6)
    frame["exposure_2"] = asked.where(frame["limit_price_2"].notna() & (asked != 0.0))
    frame["limit_price_2"] = frame["limit_price_2"].where(frame["exposure_2"].notna())
    frame["stop_price"], frame["take_profit_price"] = level(-0.12, 0.6), level(0.1, 0.6)
    frame["time_stop"] = pd.Series(4.0, asked.index).where(chance.random(len(asked)) < 0.5)
    return frame


def with_orders(legs: Any, targets: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Targets with orders beside those of every leg but the first."""
    chance = np.random.default_rng(seed)
    each = {name: targets[name].to_frame("exposure") for name in [*targets][:1]}
    for name in [*targets][1:]:
        each[name] = said_with(chance, targets[name], legs[name].bars["close"])
    return pd.concat(each, axis=1)


def random_legs(seed: int, size: int, count: int, *, wild: float = 0.08, **orders: Any) -> Any:
    """Perpetuals and, the last, spot with its borrow; and targets that one wallet can hold."""
    chance = np.random.default_rng(seed)
    times = days(size)
    legs, targets = {}, {}
    common = chance.standard_normal(size)
    for number in range(count):
        bars = wild_bars(chance, times, wild)
        if chance.random() < 0.5:  # moves with the others
            drift = np.exp(wild * np.cumsum(common))
            prices = bars[["open", "high", "low", "close"]].mul(drift, axis=0)
            bars = bars.assign(**prices)
        if number and chance.random() < 0.3 and size > 6:
            bars = bars.drop(times[[2, 3]])
        if number and chance.random() < 0.3 and size > 6:
            bars = bars.iloc[: size - 3]
        name = f"{'DBCAE'[number]}{number}"
        spot = count > 1 and number == count - 1
        leverage = 1.0 if spot else float(chance.choice([2.0, 5.0, 20.0]))
        if spot:
            account, costs = Account(**orders), COSTS + Borrow(rate=0.1)
        else:
            account = perpetual(
                f"{name}/USDT:USDT",
                MANY if chance.random() < 0.5 else ONE,
                leverage=leverage,
                liquidation=0.005,
                funding=funding(chance, pd.DatetimeIndex(bars.index)),
                **orders,
            )
            costs = COSTS
        ends = "last" if chance.random() < 0.5 else 40.0
        legs[name] = Leg(bars=bars, account=account, costs=costs, ends=ends)
        share = leverage / count
        asked = pd.Series(chance.choice([-1.0, -0.4, 0.0, 0.7, 1.0], size) * share, index=times)
        targets[name] = asked.where(chance.random(size) < 0.4).ffill()
    return legs, pd.DataFrame(targets)
