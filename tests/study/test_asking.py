"""Asked at once or one by one, a strategy answers the same; what it cannot be asked is said."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pytest
from annotated_types import Ge
from hypothesis import given
from hypothesis import strategies as st

from delever.ask import Ask, RefusedError
from delever.at_once import Columns
from delever.engine.orders import exposure_of
from delever.errors import DeleverError, InputError
from delever.signals import indicators
from delever.signals.edges import confirm, crossed_above, crossed_below, hold, latch
from delever.signals.levels import rolling_support
from delever.signals.sizing import exposure
from delever.study.sweeps import asking
from delever.study.sweeps.asking import answers, asked_of
from delever.study.sweeps.chunk import SweepGround
from delever.study.workspaces.any_strategy import as_strategy
from delever.study.workspaces.strategy import Strategy, load_strategy
from delever.study.workspaces.strategy_state import holds_many
from delever.view import MarketView, Reading

ROOT = Path(__file__).parents[2]


def made_market() -> MarketView:
    chance = np.random.default_rng(5)
    index = pd.date_range("2020-01-03", periods=500, freq="D", tz="UTC")
    close = 100.0 * np.exp(np.cumsum(chance.normal(0.0, 0.03, len(index))))
    opened = np.append(100.0, close[:-1])
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) * 1.01,
        "low": np.minimum(opened, close) * 0.99,
        "close": close,
        "volume": chance.lognormal(3.0, 1.0, len(index)),
    }
    stamps = pd.date_range(index[0], periods=3 * len(index), freq="8h")
    rates = pd.DataFrame({"funding_rate": chance.normal(0.0, 1e-4, len(stamps))}, index=stamps)
    funding = Reading(frame=rates, publication_lag=pd.Timedelta(0))
    bars = pd.DataFrame(columns, index=index)
    return MarketView(bars=bars, timeframe="1d", readings={"funding": funding})


MARKET = made_market()


def ground_for(strategy: Any) -> SweepGround:
    return SweepGround(
        market=MARKET,
        strategy=as_strategy(strategy),
        benchmark=pd.Series(1.0, index=MARKET.index),
        account=None,
        periods=(),
        start=None,
        initial_equity=1_000.0,
    )


def told(ground: SweepGround, params: dict[str, Any]) -> Any:
    """What a single call says: exposures held from each open on, and where the run begins."""
    found = asked_of(ground, params)
    if isinstance(found, DeleverError):
        return str(found)
    target, begin = found
    held = np.append(0.0, np.nan_to_num(exposure_of(target).to_numpy()[:-1]))
    return begin, held[begin:].tolist()


def spread(answer: Any) -> Any:
    """The same of an answer."""
    if isinstance(answer, DeleverError):
        return str(answer)
    asked = answer.changes.since(answer.begin)
    sizes = np.diff(np.append(asked.bars, len(MARKET.index)))
    return answer.begin, np.repeat(asked.targets, sizes).tolist()


def compared(strategy: Any, combinations: list[dict[str, Any]]) -> SweepGround:
    """Ask for all of them, hold each against a single call, and say how it went."""
    ground = ground_for(strategy)
    for params, answer in zip(combinations, answers(ground, combinations), strict=True):
        assert spread(answer) == told(ground, params), params
    return ground


AXES: dict[str, dict[str, list[Any]]] = {
    "buy_and_hold": {},
    "ma200w_break": {
        "weeks": [*range(2, 40), 400],
        "average": ["sma", "ema", "wma"],
        "confirm_weeks": [1, 2, 3],
        "when_below": ["flat", "short"],
        "reentry": ["reclaim", "confirmed"],
    },
    "ma200w_mean_reversion": {
        "weeks": list(range(2, 40)),
        "average": ["sma", "ema", "wma"],
        "near": [0.0, 0.02, 0.1],
        "target": [0.1, 0.5, 1.0],
        "stop": [0.1, 0.3],
    },
    "support_breach": {
        "weeks": list(range(1, 30)),
        "breach_on": ["close", "low"],
        "reentry": ["reclaim", "bars"],
        "reentry_bars": [None, 1, 5, 20],
        "when_below": ["flat", "short"],
    },
    "short_the_break": {"weeks": list(range(1, 30)), "confirm_bars": [1, 2, 3],
                        "stop": [None, 0.0, 0.05]},
    "level_ladder": {"near": [0.0, 0.02, 0.1], "stop": [0.05, 0.2], "target": [0.1, 0.5, 2.0],
                     "weeks": [[2, 4], [3, 9, 20]]},
    "funding_capitulation": {"streak": [1, 2, 3], "fall": [0.05, 0.1], "fall_days": [10, 20, 40],
                             "quiet_days": [1, 3], "hold_days": [1, 5, 30]},
    "stress_filter": {"out_of": ["cascade", "selling"], "enter": [0.8, 0.9], "leave": [0.5, 0.85],
                      "days": [20, 40]},
}  # fmt: skip


def drawn(axes: dict[str, list[Any]], count: int) -> list[dict[str, Any]]:
    chance = random.Random(3)
    return [{name: chance.choice(axes[name]) for name in axes} for _ in range(count)]


@pytest.mark.parametrize("name", AXES)
def test_every_shipped_strategy_answers_as_if_asked_alone(name, request) -> None:
    slow = name == "stress_filter"
    count = 200 if request.config.getoption("--all") else 8 if slow else 30
    strategy = load_strategy(ROOT / "strategies" / f"{name}.py")
    ground = compared(strategy, drawn(AXES[name], count))
    if name in ("ma200w_break", "ma200w_mean_reversion"):
        assert not ground.asking.why
        assert ground.asking.sizes


def test_all_shipped_strategies_are_among_them() -> None:
    every = map(load_strategy, (ROOT / "strategies").glob("*.py"))
    assert {one.name for one in every if one.takes == "market"} == AXES.keys()


@pytest.fixture
def above_average(tmp_path) -> Strategy:
    text = (ROOT / "README.md").read_text()
    begun = text.index("# strategies/above_average.py")
    path = tmp_path / "above_average.py"
    path.write_text(text[begun : text.index("```", begun)])
    return load_strategy(path)


def test_the_strategy_of_the_readme_is_asked_at_once(above_average) -> None:
    ground = compared(above_average, [{"weeks": weeks} for weeks in range(2, 60)])
    assert not ground.asking.why
    assert ground.asking.sizes


def crossing(market: MarketView, *, fast: Annotated[int, Ge(1)] = 5,
             slow: Annotated[int, Ge(1)] = 20) -> pd.Series:  # fmt: skip
    if fast >= slow:
        raise InputError(f"fast must be below slow; got {fast} and {slow}")
    close = market.bars["close"]
    quick, late = indicators.sma(close, fast), indicators.ema(close, slow)
    return (quick > late).astype(float).where(late.notna())


def test_a_strategy_that_refuses_some_refuses_them_in_its_own_words() -> None:
    combinations = [{"fast": fast, "slow": slow} for fast in range(0, 20) for slow in (5, 9, 15)]
    ground = compared(crossing, combinations)
    assert not ground.asking.why


def branching(market: MarketView, *, weeks: int = 5, size: float = 1.0) -> pd.Series:
    close = market.bars["close"]
    lines = [indicators.sma(close, weeks)] * (3 if weeks > 9 else 1)
    target = exposure(close > lines[-1], on=size if size < 0.5 else 1.0, known=lines[0].notna())
    return -target if int(weeks) % 2 else target.fillna(0.0)


def test_a_strategy_that_branches_is_asked_for_each_way() -> None:
    sizes = [0.1 * each for each in range(1, 9)]
    ground = compared(branching, [{"weeks": w, "size": s} for w in range(5, 14) for s in sizes])
    assert not ground.asking.why


def own_loop(market: MarketView, *, weeks: int = 5) -> pd.Series:
    held = [float(price > weeks / 5) for price in market.bars["close"].tolist()]
    return pd.Series(held, index=market.index)


def takes_rows(market: MarketView, *, weeks: int = 5) -> pd.Series:
    line = indicators.sma(market.bars["close"], weeks)
    return (line > line.iloc[-1]).astype(float)


def swallows(market: MarketView, *, weeks: int = 5) -> pd.Series:
    try:
        length = range(weeks)[-1]
    except Exception:  # noqa: BLE001 - what a user may write
        length = 7
    return (market.bars["close"] > indicators.sma(market.bars["close"], length)).astype(float)


def rolls(market: MarketView, *, weeks: int = 5) -> pd.Series:
    close = market.bars["close"]
    return (close > close.rolling(weeks).mean()).astype(float)


@pytest.mark.parametrize("strategy", [own_loop, takes_rows, swallows, rolls])
def test_what_cannot_be_asked_at_once_is_asked_one_by_one_and_said(strategy) -> None:
    ground = compared(strategy, [{"weeks": weeks} for weeks in range(70, 570)])
    assert ground.asking.why in ground.asking.notes[0]


def weighs_it(market: MarketView, *, weeks: int = 5) -> pd.Series:
    length = 3 if weeks.__sizeof__() == (1).__sizeof__() else 4
    line = indicators.sma(market.bars["close"], length) + 0 * weeks
    return (market.bars["close"] > line).astype(float)


def test_an_answer_that_differs_is_found_and_nothing_is_asked_at_once_then() -> None:
    ground = compared(weighs_it, [{"weeks": weeks} for weeks in range(10, 40)])
    assert "otherwise by itself" in ground.asking.differs


def scaled(market: MarketView, weeks: int, size: float) -> pd.Series:
    line = indicators.sma(market.bars["close"], weeks)
    return size * (market.bars["close"] > line).astype(float)


def size_by_type(value: Any, weeks: int) -> float:
    return 0.5 if type(value) is int and weeks == 55 else 1.0


def has_a_type(market: MarketView, *, weeks: int = 5) -> pd.Series:
    return scaled(market, weeks, size_by_type(weeks, weeks))


def has_a_series(market: MarketView, *, weeks: int = 5) -> pd.Series:
    line = indicators.sma(market.bars["close"], weeks)
    return scaled(market, weeks, 0.5 if isinstance(line, pd.Series) and weeks == 55 else 1.0)


@pytest.mark.parametrize("strategy", [has_a_type, has_a_series])
def test_a_strategy_that_asks_for_types_is_asked_one_by_one(strategy) -> None:
    ground = compared(strategy, [{"weeks": weeks} for weeks in range(2, 120)])
    assert "what type" in ground.asking.why


def looks_up(market: MarketView, *, weeks: int = 5) -> pd.Series:
    return scaled(market, weeks, {"50": 0.5, "56": 0.25}.get(f"{weeks}", 1.0))


def looks_up_shown(market: MarketView, *, weeks: int = 5) -> pd.Series:
    return scaled(market, weeks, 0.5 if repr(weeks) == "55" or str(weeks) == "53" else 1.0)


def has_digits(market: MarketView, *, weeks: int = 5) -> pd.Series:
    return scaled(market, weeks, 0.5 if f"{weeks:03d}" in ("050", "061") else 1.0)


def is_whole(market: MarketView, *, weeks: int = 5) -> pd.Series:
    return scaled(market, weeks, 0.5 if isinstance(weeks, int) and 50 <= weeks <= 58 else 1.0)


def helps_itself(market: MarketView, *, weeks: int = 5) -> pd.DataFrame:
    names = {f"{weeks}": 1.0}
    size = names.get("55", 0.5)
    return pd.DataFrame({"exposure": scaled(market, weeks, size), f"{weeks} weeks": 1.0})


def names_what_it_reads(market: MarketView, *, weeks: int = 5) -> pd.DataFrame:
    half = market.bars["close"] * 0 + 0.5
    columns = {"exposure": scaled(market, weeks, 1.0), f"{weeks}": half}
    return pd.DataFrame({name: half if name == "55" else each for name, each in columns.items()})


def names_what_it_counts(market: MarketView, *, weeks: int = 5) -> pd.DataFrame:
    columns = {"exposure": scaled(market, weeks, 1.0), f"{weeks}": 1.0}
    columns["exposure"] *= 0.5 if "55" in columns else 1.0
    return pd.DataFrame(columns)


def names_what_it_looks_at(market: MarketView, *, weeks: int = 5) -> pd.DataFrame:
    columns = {f"{weeks}": market.bars["close"]}
    size = 0.5 if "55" in locals()["columns"] else 1.0
    columns = {"exposure": scaled(market, weeks, size), f"{weeks}": 1.0}
    return pd.DataFrame(columns)


def names_orders(market: MarketView, *, weeks: int = 5) -> pd.DataFrame:
    return pd.DataFrame({f"exposure_{weeks}": 0.1, "exposure": scaled(market, weeks, 1.0)})


NAMED: dict[str, pd.Series] = {}


def keeps_by_name(market: MarketView, *, fast: int = 5, slow: int = 20) -> pd.Series:
    close, key = market.bars["close"], f"sma{fast}"
    if key not in NAMED:
        NAMED[key] = indicators.sma(close, fast)
    return (NAMED[key] > indicators.sma(close, slow)).astype(float)


KEPT: dict[str, Any] = {}


def keeps_the_first(market: MarketView, *, fast: int = 5, slow: int = 20) -> pd.Series:
    close = market.bars["close"]
    if "line" not in KEPT:
        KEPT["line"] = indicators.sma(close, fast)
    return (close > KEPT["line"]).astype(float)


LINES: list[Any] = []


def keeps_a_list(market: MarketView, *, fast: int = 5, slow: int = 20) -> pd.Series:
    LINES.append(indicators.sma(market.bars["close"], fast))
    return (market.bars["close"] > LINES[0]).astype(float)


@pytest.mark.parametrize(
    "strategy",
    [
        looks_up,
        looks_up_shown,
        has_digits,
        is_whole,
        helps_itself,
        names_orders,
        names_what_it_reads,
        names_what_it_counts,
        names_what_it_looks_at,
    ],
)
def test_what_touches_only_the_middle_of_a_block_is_answered_as_alone(strategy) -> None:
    ground = compared(strategy, [{"weeks": weeks} for weeks in range(2, 120)])
    assert not ground.asking.differs


class Shelf:
    line: Any = None


class Slot:
    __slots__ = ("line",)


SHELF, SLOT, SPACE = Shelf(), Slot(), SimpleNamespace()


def kept_by(holder: Any) -> Any:
    def keeps(market: MarketView, *, fast: int = 5, slow: int = 20) -> pd.Series:
        close = market.bars["close"]
        if getattr(holder, "line", None) is None:
            holder.line = indicators.sma(close, fast)
        return (close > holder.line).astype(float) * (indicators.sma(close, slow) > 0)

    return keeps


@pytest.mark.parametrize(
    "strategy",
    [keeps_by_name, keeps_the_first, keeps_a_list, *map(kept_by, (Shelf, SHELF, SLOT, SPACE))],
)
@pytest.mark.parametrize("slows", [[40], [40, 60, 80]])
def test_what_a_strategy_keeps_is_never_taken_for_that_of_others(strategy, slows) -> None:
    for held in (NAMED, KEPT, LINES):
        held.clear()
    Shelf.line = None
    vars(SHELF).clear(), vars(SPACE).clear()
    SLOT.line = None
    ground = compared(strategy, [{"fast": f, "slow": s} for f in range(2, 60) for s in slows])
    assert not ground.asking.differs
    kept = [Shelf.line, SLOT.line, *vars(SHELF).values(), *vars(SPACE).values()]
    assert not any(holds_many(held) for held in (NAMED, KEPT, LINES, kept))


def test_series_of_an_earlier_call_are_refused() -> None:
    def series(ask: Ask) -> Columns:
        return Columns(ask, np.zeros((2, 3)), np.array([0, 1]), pd.RangeIndex(3))

    early, late = Ask(2), Ask(2)
    with early.going_on():
        kept = series(early)
    for meets in (lambda: series(late) > kept, lambda: kept > series(late), lambda: kept.shift(1)):
        late.refused = ""
        with late.going_on(), pytest.raises(RefusedError):
            meets()
        assert "earlier call" in late.refused


def prints(market: MarketView, *, weeks: int = 5) -> pd.Series:
    print("weeks", scaled(market, 3, 1.0).sum())
    line = indicators.sma(market.bars["close"], weeks)
    print("line", line)
    return (market.bars["close"] > line).astype(float)


def test_what_is_printed_is_that_of_single_combinations(capsys) -> None:
    compared(prints, [{"weeks": weeks} for weeks in range(2, 20)])
    said = "".join(capsys.readouterr())
    assert said.count("line open_time") == said.count("weeks ") == 36
    assert "distinct" not in said
    assert "\N{HORIZONTAL ELLIPSIS}" not in said


def spoils(market: MarketView, *, weeks: int = 5) -> pd.Series:
    target = indicators.sma(market.bars["close"], 2).where(market.bars["close"] > weeks, np.inf)
    return target.where(target.notna(), 0.0)


def test_a_broken_contract_is_said_as_of_a_single_run() -> None:
    asked = [{"weeks": weeks} for weeks in range(40, 60)]  # the lowest close is 45.8
    ground = compared(spoils, asked)
    assert any("must be a finite number" in str(told(ground, one)) for one in asked)


NUMBERS = st.sampled_from([1, 2, 3, 5, 8])


@st.composite
def programs(draw: Any) -> Any:
    """A strategy at random out of the primitives, on the bars' clock or that of weeks."""
    weekly, kind = draw(st.booleans()), draw(st.sampled_from(["sma", "ema", "wma"]))
    entry = draw(st.sampled_from(["below", "above", "crossed", "band", "support"]))
    leave = draw(st.sampled_from(["above", "confirmed", "held", "none"]))
    offset, known = draw(st.sampled_from([0, 1])), draw(st.booleans())

    def program(market: MarketView, *, one: int = 2, two: int = 3, near: float = 0.02,
                way: Literal["up", "down"] = "up") -> Any:  # fmt: skip
        bars = market.resample("1w") if weekly else market.bars
        close = bars["close"]
        line = indicators.moving_average(close, one + offset, kind)
        other = indicators.sma(close, two)
        starts = {
            "below": lambda: close < line * (1 - near),
            "above": lambda: (line > other) & line.shift(1).notna(),
            "crossed": lambda: crossed_below(close, line) | crossed_above(close, other),
            "band": lambda: abs(close - line) <= near * close,
            "support": lambda: close < (line if weekly else rolling_support(market, two)),
        }[entry]()
        ends = {
            "above": lambda: confirm(close > line, two),
            "confirmed": lambda: confirm(~starts, one),
            "held": lambda: ~hold(starts, two),
            "none": lambda: ~starts,
        }[leave]()
        sure = line.notna() if known else None
        target = exposure(latch(starts, ends), on=-near if way == "down" else 1.0, known=sure)
        return market.align(target, "1w") if weekly else target

    return program


NEAR, WAYS = st.sampled_from([0.0, 0.02, 0.1]), st.sampled_from(["up", "down"])
VALUES = st.tuples(NUMBERS, NUMBERS, NEAR, WAYS)


@given(programs(), st.lists(VALUES, min_size=8, max_size=20))
def test_random_strategies_answer_as_if_asked_alone(program, values) -> None:
    names = ("one", "two", "near", "way")
    ground = compared(program, [dict(zip(names, each, strict=True)) for each in values])
    assert not ground.asking.why


def test_small_blocks_answer_as_large_ones(above_average, monkeypatch) -> None:
    combinations = [{"weeks": weeks} for weeks in range(2, 60)]
    whole = [spread(one) for one in answers(ground_for(above_average), combinations)]
    monkeypatch.setattr(asking, "CELLS", 1)
    assert [spread(one) for one in answers(ground_for(above_average), combinations)] == whole
