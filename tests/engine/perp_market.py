"""Random markets and accounts for the tests of the margin account."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from delever.engine.ledger import FILL, LEDGER
from delever.engine.orders import laid_out
from delever.engine.settings import Orders
from delever.engine.simulate import start_state
from delever.engine.steps import MarketArrays, Said, TermArrays

CASH = 10_000.0
TABLES = {
    "one": [[math.inf, 0.005, 0.0, 125.0]],
    "many": [
        [20_000.0, 0.004, 0.0, 125.0],
        [60_000.0, 0.01, 120.0, 125.0],
        [1e12, 0.05, 2_520.0, 125.0],
    ],
    "strict": [[10_000.0, 0.02, 0.0, 125.0], [1e12, 0.06, 400.0, 125.0]],
    "none": [[math.inf, 0.0, 0.0, math.inf]],
}
LATER: dict[str, dict[str, Any]] = {
    "mark": {"brackets": "strict", "by": "mark", "on_entry": False, "closing": 0.0},
    "entry": {"brackets": "many", "by": "entry", "on_entry": True, "closing": 0.0006},
}
"""Rules that come into force while an account runs."""


@dataclass(repr=False)
class Case:
    """A market, targets and an account, as the kernels take them; and its quoted prices."""

    market: MarketArrays
    targets: np.ndarray
    terms: TermArrays
    orders: Orders
    quoted: tuple[np.ndarray, np.ndarray]
    ordered: pd.DataFrame | None = None
    told: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Case({self.told}, {len(self.targets)} bars)"

    @property
    def said(self) -> Said:
        return laid_out(self.ordered, self.targets, self.orders)

    @property
    def start(self) -> np.ndarray:
        return start_state(CASH, self.market.marks[0, 0])


def market(*bars: Sequence[float], timeframe: str = "1D") -> pd.DataFrame:
    """Bars of open, high, low and close."""
    index = pd.date_range("2021-01-01", periods=len(bars), freq=timeframe, tz="UTC")
    table = pd.DataFrame(list(bars), columns=["open", "high", "low", "close"], index=index)
    return table.rename_axis("open_time").astype(float)


def order_numbers(**told: Any) -> Orders:
    """Orders as the kernels take them."""
    given = {name: told[name] for name in Orders._fields if told.get(name) is not None}
    resolve = (-2.0 if told.get("weigh") else -1.0) if told.get("against", True) else 1.0
    return Orders(**{name: float(value) for name, value in given.items()} | {"resolve": resolve})


def column(ledger: np.ndarray, name: str) -> np.ndarray:
    return ledger[:, LEDGER.index(name)]


def made(fills: np.ndarray, name: str) -> np.ndarray:
    return fills[:, FILL.index(name)]


def prices_of(chance: np.random.Generator, size: int, wild: float, *, gaps: bool) -> np.ndarray:
    gap, body, up, down = np.exp(wild * chance.standard_normal((4, size)) * [[0.3], [1], [1], [1]])
    gap = gap if gaps else np.ones(size)
    close = 1_000.0 * np.cumprod(gap * body)
    opening = close / body
    high = np.maximum(opening, close) * np.maximum(up, 1.0)
    low = np.minimum(opening, close) * np.minimum(down, 1.0)
    return np.column_stack([opening, high, low, close])


def funding_of(chance: np.random.Generator, marks: np.ndarray, *, inside: bool) -> np.ndarray:
    """Stamps at some opens and, one or two, inside some steps; per unit, order against."""
    size, rate = len(marks), 0.003
    table = np.zeros((size, 7))
    table[:, 0] = np.where(chance.random(size) < 0.3, chance.normal(0, rate, size), 0) * marks[:, 0]
    stamps = chance.normal(0, rate, (size, 2)) * (chance.random((size, 2)) < 0.3) * marks[:, [0]]
    if inside:
        for direction, place in ((-1.0, 1), (1.0, 2)):
            first, second = direction * stamps.T
            table[:, place] = first + second
            table[:, place + 2] = np.min([0 * first, first, first + second], axis=0)
            table[:, place + 4] = np.min([0 * first, second, first + second], axis=0)
    return table


@st.composite
def cases(draw: st.DrawFn, *, every: bool = False, **fixed: Any) -> Case:
    """Markets that gap and crash, with targets that keep, change and flip.

    With `every`, also inverse contracts, ticks, and rules that change on some bar.
    """
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size, wild = draw(st.integers(1, 25)), draw(st.sampled_from([0.01, 0.05, 0.3]))
    inner = draw(st.sampled_from([1, 1, 3])) if fixed.get("detail", True) else 1
    told: dict[str, Any] = {
        "leverage": draw(st.sampled_from([1.0, 3.0, 20.0])),
        "cross": draw(st.booleans()),
        "stop_loss": draw(st.sampled_from([None, 0.02, 0.4])),
        "take_profit": draw(st.sampled_from([None, 0.03, 0.5])),
        "trailing_stop": draw(st.sampled_from([None, None, 0.05])),
        "limit_offset": draw(st.sampled_from([None, None, 0.0, 0.01])),
        "band": draw(st.sampled_from([math.inf, math.inf, 0.1])),
        "lot": draw(st.sampled_from([0.0, 0.0, 0.01])),
        "least": draw(st.sampled_from([0.0, 0.0, 3_000.0])) if every else 0.0,
        "against": draw(st.booleans()),
        "separate": draw(st.booleans()),
        "fee": draw(st.sampled_from([0.0, 0.0005, 0.02])),
        "maker": draw(st.sampled_from([0.0, -0.0002, 0.0002])),
        "slippage": draw(st.sampled_from([0.0, 0.001, 0.03])),
        "impact": draw(st.sampled_from([0.0, 0.0, 1e-5])),
        "liquidation_fee": draw(st.sampled_from([0.0, 0.005])),
        "borrow": draw(st.sampled_from([0.0, 1e-4])),
        "brackets": draw(st.sampled_from(["one", "many"])),
        "by": draw(st.sampled_from(["mark", "entry", "size"])),
        "on_entry": draw(st.booleans()),
        "closing": draw(st.sampled_from([0.0, 0.0005])),
        "funding": True,
        "inside": True,
        "tick": draw(st.sampled_from([0.0, 0.5])) if every else 0.0,
        "inverse": draw(st.booleans()) if every else False,
        # Whoever fixes the side asks for the run itself, not for its bounds.
        "weigh": draw(st.booleans()) if every and "against" not in fixed else False,
        "changes": draw(st.sampled_from([None, 0.4, 0.8])) if every else None,
    } | {name: value for name, value in fixed.items() if name != "detail"}
    if told["by"] == "mark":
        told["on_entry"] = False
    if told["inverse"]:
        told["borrow"] = 0.0
        if told["by"] == "size":  # of dollars, while amounts are coins
            told["brackets"] = "one"
    steps = size * inner
    prices = prices_of(chance, steps, wild / math.sqrt(inner), gaps=fixed.get("gaps", True))
    marks = prices
    if told["separate"]:
        marks = prices * np.exp(0.2 * wild * chance.standard_normal((steps, 1)))
    quoted = (prices, marks)
    if told["inverse"]:  # 1 / p; the low becomes the high
        prices, marks = (1.0 / table[:, [0, 2, 1, 3]] for table in quoted)
    leverage = told["leverage"]
    targets = np.where(
        chance.random(size) < 0.3,
        chance.uniform(-leverage, leverage, size),
        leverage * chance.choice([-1.0, -0.5, 0.0, 0.25, 1.0], size),
    )
    stay = chance.random(size) < draw(st.sampled_from([0.0, 0.7]))
    for bar in np.flatnonzero(stay)[np.flatnonzero(stay) > 0]:
        targets[bar] = targets[bar - 1]
    if "targets" in told:
        targets = np.full(size, told["targets"])
    funding = funding_of(chance, marks, inside=told["inside"])
    market = MarketArrays(
        np.arange(0, steps + 1, inner), prices, marks, funding * float(told["funding"])
    )
    ordered = None
    if every and fixed.get("ordered", True) and draw(st.booleans()):
        side = np.sign(targets) * (-1.0 if told["inverse"] else 1.0)
        ordered = orders_beside(chance, quoted[0][::inner, 0], side * np.abs(targets), told)
    return Case(market, targets, terms_of(size, told), order_numbers(**told), quoted, ordered, told)


def orders_beside(
    chance: np.random.Generator, opens: np.ndarray, targets: np.ndarray, told: dict[str, Any]
) -> pd.DataFrame:
    """Orders about the open of each bar, some of them passed, some there for a while only."""
    size, side = len(opens), np.where(targets < 0.0, -1.0, 1.0)

    def maybe(values: np.ndarray, share: float = 0.6) -> np.ndarray:
        return np.where(chance.random(size) < share, values, np.nan)

    def away(*distances: float) -> np.ndarray:
        return opens * (1.0 - side * chance.choice(distances, size))

    most = told["leverage"]
    limit = maybe(away(0.0021, 0.0193, 0.087, -0.0117))
    further = np.where(np.isnan(limit), opens, limit) * (
        1.0 - side * chance.uniform(0.001, 0.05, size)
    )
    more = side * np.minimum(most, 1.5 * np.abs(targets) + 0.1)
    more = np.where(np.abs(more) > np.abs(targets), more, np.nan)
    if told["limit_offset"] is not None:  # the other way to say where entries rest
        limit, more = limit * np.nan, more * np.nan
    hold = np.ones(size) if chance.random() < 0.5 else maybe(np.ones(size))
    return pd.DataFrame(
        {
            "stop_price": maybe(away(0.0137, 0.103, -0.0211)),
            "take_profit_price": maybe(away(-0.0153, -0.107, 0.0129)),
            "limit_price": limit,
            "exposure_2": more * hold,
            "limit_price_2": np.where(np.isnan(more), np.nan, further),
            "leverage": maybe(np.maximum(1.0, chance.uniform(0.5, 1.0, size) * most)),
            "time_stop": maybe(chance.integers(1, 4, size).astype(float)),
        }
    )


def rules_of(told: dict[str, Any]) -> list[dict[str, Any]]:
    """What holds first, and what holds from some bar on if the rules change."""
    first = {name: told[name] for name in ("brackets", "by", "on_entry", "closing")}
    if told.get("changes") is None:
        return [first]
    return [first, LATER["mark" if told["by"] == "entry" else "entry"]]


def terms_of(size: int, told: dict[str, Any]) -> TermArrays:
    names = ("fee", "maker", "liquidation_fee", "slippage", "impact", "borrow")
    by = {"mark": 0.0, "entry": 1.0, "size": 2.0}
    rules = rules_of(told)
    change = size if len(rules) == 1 else int(told["changes"] * size)
    tables = [TABLES[held["brackets"]] for held in rules]
    rows = max(map(len, tables))
    return TermArrays(
        (np.arange(size) >= change).astype(np.int64),
        np.tile([told[name] for name in names], (size, 1)).astype(float),
        np.array([table + [table[-1]] * (rows - len(table)) for table in tables]),
        np.array([[by[r["by"]], float(r["on_entry"]), r["closing"]] for r in rules]),
    )
