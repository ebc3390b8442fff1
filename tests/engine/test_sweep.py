"""A sweep's numbers are those of single runs and of the registry, whatever the market does."""

from __future__ import annotations

import datetime as dt
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.perp_market import CASH, Case, cases

from delever.engine.backtest import Backtest, backtest
from delever.engine.delivered import below_a_lot
from delever.engine.kernel import run_account
from delever.engine.ledger import FILL, LEDGER, REASONS
from delever.engine.settings import Account
from delever.engine.sweep_accounts import SWEPT_ACCOUNT, Asked, SweepAccount, asked, simulate
from delever.engine.sweep_market import SWEEP_BAR, SweepMarket, board_of, sweep_market
from delever.engine.sweep_metrics import (
    BELOW_A_LOT,
    SWEPT,
    TOTALS,
    column_name,
    metric_names,
    part_names,
)
from delever.engine.trades import trades_frame
from delever.errors import InputError, SimulationError
from delever.stats.metric import SCOPES
from delever.stats.metrics import METRICS, Sample, compute_scopes
from delever.venues.brackets import bracket_table
from delever.venues.contract import PerpContract
from delever.venues.costs import Borrow, CostPart, Costs, VenueFees
from delever.venues.margin_formulas import FORMULAS
from delever.venues.rules import Fees, Rules
from delever.venues.slippage import Impact

COSTS = Costs(taker_fee=0.001, slippage=0.0005)


def on_rules(contract: PerpContract) -> Rules:
    """Rules of a contract without fees."""
    return Rules(
        venue="test",
        valid_from=dt.date(2020, 1, 1),
        contract=contract,
        formula=FORMULAS["flat_rate"],
        brackets=bracket_table([(math.inf, 0.005, 100.0)], progressive=False),
        fees=Fees(maker=0.0, taker=0.0, liquidation=0.0),
        funding_hours=(8,),
        notes=(),
    )


def random_bars(seed: int, size: int, wild: float = 0.03, gaps: float = 0.0) -> pd.DataFrame:
    """Bars of a day, so many of them after up to three missing ones."""
    chance = np.random.default_rng(seed)
    close = 1_000.0 * np.exp(np.cumsum(chance.normal(0.0, wild, size)))
    opened = np.append(1_000.0, close[:-1]) * np.exp(chance.normal(0.0, wild / 5, size))
    high = np.maximum(opened, close) * np.exp(np.abs(chance.normal(0.0, wild / 2, size)))
    low = np.minimum(opened, close) * np.exp(-np.abs(chance.normal(0.0, wild / 2, size)))
    steps = np.where(chance.random(size) < gaps, chance.integers(2, 5, size), 1)
    days = np.datetime64("2020-01-01") + np.cumsum(steps) - steps[0]
    index = pd.DatetimeIndex(days, name="open_time").tz_localize("UTC")
    frame = {"open": opened, "high": high, "low": low, "close": close}
    return pd.DataFrame(frame, index=index.as_unit("ns"))


def measured(sample: Sample, inside: np.ndarray) -> dict[str, float]:
    """Metrics of a single run under a sweep's names."""
    scopes = {"whole": np.ones(len(inside), bool), "inside": inside, "outside": ~inside}
    table = compute_scopes(sample, scopes, SWEPT)
    return {
        column_name(scope, each.name): float(table.loc[each.name, scope])
        for scope in SCOPES
        for each in SWEPT
        if scope in each.scopes
    }


def sample_of(run: Backtest) -> Sample:
    return Sample(
        returns=run.returns,
        benchmark=None,
        exposure=run.ledger["exposure"],
        turnover=run.ledger["turnover"],
        trades=run.trades,
        timeframe="1d",
    )


def assert_same(row: pd.Series, expected: dict[str, float], rtol: float = 1e-9) -> None:
    got = row[list(expected)].to_numpy(float)
    np.testing.assert_allclose(
        got, list(expected.values()), rtol=rtol, atol=1e-11, err_msg=str(list(expected))
    )


def test_names_are_the_registrys_and_the_ledgers() -> None:
    assert [each for each in METRICS if each.from_sums] == list(SWEPT)
    assert set(TOTALS) <= {*LEDGER, "liquidations"}
    names = [each.name for each in SWEPT] + list(TOTALS)
    columns = tuple(column_name(scope, name) for scope in SCOPES for name in names)
    assert metric_names() == (*columns, BELOW_A_LOT)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(2, 120), count=st.integers(1, 5))
def test_spot_runs_and_the_registry_agree(seed: int, size: int, count: int) -> None:
    chance = np.random.default_rng(seed)
    wild, gaps = float(chance.choice([0.01, 0.2])), float(chance.choice([0.0, 0.3]))
    bars = random_bars(seed, size, wild=wild, gaps=gaps)
    inside = chance.random(size) < 0.4
    market = sweep_market(bars, timeframe="1d", inside=inside)
    accounts, runs = [], []
    for _ in range(count):
        choice = chance.choice([-1.0, -0.3, 0.0, 0.5, 1.0], size)
        stay = chance.random(size) < 0.7
        target = pd.Series(np.where(stay, np.nan, choice), index=bars.index).ffill()
        begin = int(chance.integers(0, size))
        costs = COSTS if chance.random() < 0.5 else Costs()
        before = target.iloc[begin - 1] if begin else math.nan
        accounts.append(SweepAccount(asked=asked(target.to_numpy(), begin), costs=costs))
        run = backtest(
            bars.iloc[begin:],
            target.iloc[begin:],
            timeframe="1d",
            costs=costs,
            initial_target=0.0 if math.isnan(before) else before,
        )
        runs.append((run, inside[begin:]))
    frame = simulate(market, accounts)
    for (_, row), (run, part) in zip(frame.iterrows(), runs, strict=True):
        assert_same(row, measured(sample_of(run), part))
        for name in ("fee", "slippage", "liquidation"):
            total = run.ledger[name].sum()
            assert row[name] == pytest.approx(total, rel=1e-9, abs=1e-7)
            split = [run.ledger[name].to_numpy()[mask].sum() for mask in (part, ~part)]
            got = [row[f"inside_{name}"], row[f"outside_{name}"]]
            assert got == pytest.approx(split, rel=1e-9, abs=1e-7)
        assert row["liquidations"] == (run.fills["reason"] == "liquidation").sum()


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(3, 80))
def test_bars_before_the_first_decision_are_in_the_whole_alone(seed: int, size: int) -> None:
    chance = np.random.default_rng(seed)
    bars = random_bars(seed, size, gaps=float(chance.choice([0.0, 0.3])))
    inside = chance.random(size) < 0.5
    opened = int(chance.integers(0, size))
    undecided = int(chance.integers(0, size - opened + 1))
    starts = opened + undecided
    target = chance.choice([-0.5, 0.0, 1.0], size)
    target[: max(starts - 1, 0)] = 0.0
    early = Asked(starts, np.array([starts]), np.array([0.0]))
    account = SweepAccount(
        asked=asked(target, starts) if starts < size else early, costs=COSTS, undecided=undecided
    )
    row = simulate(sweep_market(bars, timeframe="1d", inside=inside), [account]).iloc[0]
    run = backtest(
        bars.iloc[opened:],
        pd.Series(target, index=bars.index).iloc[opened:],
        timeframe="1d",
        costs=COSTS,
        initial_target=target[opened - 1] if opened and not undecided else 0.0,
    )
    decided = np.arange(opened, size) >= starts
    within = inside[opened:]
    scopes = {
        "whole": np.ones(size - opened, bool),
        "inside": within & decided,
        "outside": ~within & decided,
    }
    table = compute_scopes(sample_of(run), scopes, SWEPT)
    expected = {
        column_name(scope, each.name): float(table.loc[each.name, scope])
        for scope in SCOPES
        for each in SWEPT
        if scope in each.scopes
    }
    assert_same(row, expected)
    assert row["bars"] - row["inside_bars"] - row["outside_bars"] == undecided


@pytest.mark.parametrize(("cash", "small"), [(10_000.0, 0), (400.0, 3), (90.0, 5)])
def test_decisions_below_one_lot_are_counted(cash: float, small: int) -> None:
    bars = random_bars(1, 60, wild=0.0)  # a price of 1,000 throughout
    contract = PerpContract(symbol="X/USD:USD", lot=0.1)
    told = {"contract": contract, "rules": on_rules(contract), "funding_policy": "missing-is-zero"}
    target = np.zeros(60)
    target[5:10], target[15:20], target[25:30], target[35:40], target[45:50] = (
        *(1.0, 0.2, 0.2, 0.2, 1.0),
    )
    market = sweep_market(
        bars, timeframe="1d", account=Account(**told), costs=Costs(), initial_equity=cash
    )
    row = simulate(market, [SweepAccount(asked=asked(target, 1), costs=Costs())]).iloc[0]
    run = backtest(
        bars, pd.Series(target, bars.index), timeframe="1d", costs=Costs(), initial_equity=cash,
        account=Account(**told),
    )  # fmt: skip
    assert row[BELOW_A_LOT] == small == below_a_lot(run, bars["open"].to_numpy())


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(20, 400), many=st.integers(1, 9))
def test_sums_of_parts_are_those_of_single_runs(seed: int, size: int, many: int) -> None:
    chance = np.random.default_rng(seed)
    wild, gaps = float(chance.choice([0.01, 0.2])), float(chance.choice([0.0, 0.3]))
    bars = random_bars(seed, size, wild=wild, gaps=gaps)
    inside = chance.random(size) < 0.4
    # Parts may overlap, touch, be empty, and begin before the first bar, as a later batch has them.
    bounds = np.sort(chance.integers(-9, size + 1, size=(many, 2)), axis=1)
    parts = {f"part_{place}": (int(a), int(b)) for place, (a, b) in enumerate(bounds)}
    target = np.repeat(chance.choice([-1.0, 0.0, 0.5, 1.0], size), 7)[:size]
    market = sweep_market(bars, timeframe="1d", inside=inside, parts=parts)
    begins = [0, int(chance.integers(1, size))]
    accounts = [SweepAccount(asked=asked(target, begin), costs=COSTS) for begin in begins]
    frame = simulate(market, accounts)
    plain = simulate(sweep_market(bars, timeframe="1d", inside=inside), accounts)
    pd.testing.assert_frame_equal(frame[list(plain)], plain, rtol=1e-9, atol=1e-11)
    for (_, row), begin in zip(frame.iterrows(), begins, strict=True):
        run = backtest(
            bars.iloc[begin:],
            pd.Series(target, index=bars.index).iloc[begin:],
            timeframe="1d",
            costs=COSTS,
            initial_target=target[begin - 1] if begin else 0.0,
        )
        returns = np.append(np.zeros(begin), run.returns.to_numpy())
        expected = []
        for first, last in bounds.clip(0):
            own = returns[first:last]
            with np.errstate(divide="ignore"):  # a ruined account's last return is -1
                expected += [own.sum(), (own**2).sum(), np.log1p(own).sum()]
            left = bars.index.get_indexer(run.trades["exit_time"][run.trades["status"] != "open"])
            expected.append(int(((left >= first) & (left < last)).sum()))
        assert row[part_names(parts)].tolist() == pytest.approx(expected, rel=1e-10, abs=1e-10)


def market_of(case: Case, inside: np.ndarray | None = None) -> SweepMarket:
    """A case of the single-run kernel as a sweep takes it."""
    size, told = len(case.targets), case.told
    index = pd.date_range("2020-01-01", periods=size, freq="D", tz="UTC", name="open_time")
    parts = (case.market.prices, case.market.marks, case.market.funding[:, :5])
    table = np.column_stack([*parts, case.terms.paid[:, [0, 2, 3]]]).view(SWEEP_BAR)[:, 0]
    within = np.zeros(size, dtype=bool) if inside is None else inside
    return SweepMarket(
        index=index.as_unit("ns"),
        timeframe="1d",
        initial_equity=CASH,
        account=Account(
            contract=PerpContract(
                symbol="X", lot=told["lot"], tick=told["tick"], min_notional=told["least"]
            ),
            rules=(),
            margin_mode="cross" if told["cross"] else "isolated",
            mark=pd.DataFrame() if told["separate"] else None,
        ),
        costs=Costs(parts=(VenueFees(),)),
        board=board_of(table, within, case.terms, {"a": (size // 3, size - 1)}),
    )


def account_of(case: Case) -> SweepAccount:
    rows = np.flatnonzero(np.diff(case.targets, prepend=np.nan) != 0.0)
    told = {name: case.told[name] for name in SWEPT_ACCOUNT if name in case.told}
    own = Account(contract="X", rules=(), **told)
    return SweepAccount(asked=Asked(0, rows, case.targets[rows]), account=own)


@settings(max_examples=500)
@given(
    case=cases(
        every=True, inverse=False, detail=False, limit_offset=None, band=math.inf, impact=0.0,
        borrow=0.0, against=True, liquidation_fee=0.005, brackets="many",
    ),
    cut=st.integers(0, 25),
)  # fmt: skip
def test_margin_accounts_agree_with_the_single_runs_kernel(case: Case, cut: int) -> None:
    ledger, fills, refused, _ = run_account(
        case.market, case.targets, case.terms, case.orders, case.start
    )
    assert refused == -1
    inside = np.arange(len(case.targets)) >= cut
    market = market_of(case, inside)
    table = pd.DataFrame(ledger, index=market.index, columns=list(LEDGER))
    equity = table["equity"].to_numpy()
    before = np.append(CASH, equity[:-1])
    gained = np.divide(equity, before, out=np.ones_like(before), where=before > 0.0) - 1.0
    if gained.min() < -1.0:
        return  # a loss beyond the account on last prices; no registry figure exists
    row = simulate(market, [account_of(case)]).iloc[0]
    trades = trades_frame(
        fills, market.index, last_close=float(case.market.marks[-1, 3]), columns=FILL,
        since=(0.0, 0.0),
    )  # fmt: skip
    sample = Sample(
        returns=pd.Series(gained, index=market.index),
        benchmark=None,
        exposure=table["exposure"].fillna(0.0),
        turnover=table["turnover"],
        trades=trades,
        timeframe="1d",
    )
    expected = measured(sample, inside)
    # A trade that comes out at nothing but rounding is a hit in one order of sums, not in another.
    if (trades["net_pnl"].abs() < 1e-6).any():
        expected = {name: value for name, value in expected.items() if "hit_rate" not in name}
    assert_same(row, expected)
    for name in ("fee", "slippage", "liquidation", "funding"):
        within = table[name][inside].sum()
        assert row[name] == pytest.approx(table[name].sum(), rel=1e-9, abs=1e-6)
        assert row[f"inside_{name}"] == pytest.approx(within, rel=1e-9, abs=1e-6)
    forced = fills[:, FILL.index("reason")] == REASONS.index("liquidation")
    assert row["liquidations"] == forced.sum()


def test_more_accounts_than_a_block_and_threads_change_nothing() -> None:
    bars = random_bars(7, 400)
    inside = np.arange(400) % 50 > 35
    market = sweep_market(bars, timeframe="1d", inside=inside)
    close = bars["close"]
    accounts = []
    for window in range(2, 2 + 259):
        line = close.rolling(window).mean()
        target = (close > line).astype(float).where(line.notna()).to_numpy()
        accounts.append(SweepAccount(asked=asked(target, window), costs=COSTS))
    whole = simulate(market, accounts)
    with ThreadPoolExecutor(2) as pool:
        pd.testing.assert_frame_equal(simulate(market, accounts, mapper=pool.map), whole)
    alone = pd.concat([simulate(market, [account]) for account in accounts[::40]])
    pd.testing.assert_frame_equal(
        alone.reset_index(drop=True), whole.iloc[::40].reset_index(drop=True)
    )


def test_parts_compound_to_the_whole() -> None:
    bars = random_bars(3, 300)
    market = sweep_market(bars, timeframe="1d", inside=np.arange(300) % 7 < 3)
    row = simulate(market, [SweepAccount(asked=asked(np.ones(300), 0), costs=COSTS)]).iloc[0]
    both = (1.0 + row["inside_total_return"]) * (1.0 + row["outside_total_return"]) - 1.0
    assert row["total_return"] == pytest.approx(both, rel=1e-12)
    assert row["bars"] == row["inside_bars"] + row["outside_bars"] == 300


def test_no_account_gives_an_empty_frame_of_the_same_columns() -> None:
    market = sweep_market(random_bars(1, 10), timeframe="1d")
    assert list(simulate(market, []).columns) == list(metric_names())


@pytest.mark.parametrize(
    ("perp", "named"),
    [
        (Account(limit_offset=0.01), "limit_offset"),
        (Account(bounds=True), "bounds"),
        (Account(detail=random_bars(1, 10)), "detail"),
    ],
)
def test_what_a_sweep_does_not_cover_is_refused(perp: Account, named: str) -> None:
    with pytest.raises(InputError, match=f"many accounts at once do not cover {named}"):
        sweep_market(random_bars(1, 10), timeframe="1d", account=perp)


@pytest.mark.parametrize(
    ("costs", "named"),
    [(Borrow(rate=0.1), "borrow"), (Impact(coefficient=0.1), "slippage with impact")],
)
def test_costs_that_a_sweep_does_not_cover_are_refused(costs: CostPart, named: str) -> None:
    with pytest.raises(InputError, match=f"many accounts at once do not cover {named}"):
        sweep_market(random_bars(1, 10).assign(volume=1.0), timeframe="1d", costs=costs)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"asked": asked(np.full(10, 1.5), 1)}, InputError, "its leverage; got one of 1.5"),
    ],
)
def test_an_account_the_engine_would_refuse_is_refused(
    change: dict[str, object], error: type[Exception], words: str
) -> None:
    market = sweep_market(random_bars(1, 10), timeframe="1d")
    good = SweepAccount(asked=asked(np.ones(10), 1))
    with pytest.raises(error, match=f"account 1: .*{words}"):
        simulate(market, [good, replace(good, **change)])


def on_margin(**board: Any) -> SweepMarket:
    """Ten random bars of a contract at 20x."""
    plain = sweep_market(random_bars(1, 10), timeframe="1d")
    account = Account(contract=PerpContract(symbol="X"), rules=(), leverage=20.0)
    return replace(plain, account=account, board=plain.board._replace(**board))


def test_a_fee_that_leaves_no_size_is_refused() -> None:
    account = SweepAccount(asked=asked(np.full(10, 2.0), 1), costs=Costs(taker_fee=0.5))
    with pytest.raises(SimulationError, match="leaves no size"):
        simulate(on_margin(), [account])


def test_a_position_beyond_its_bracket_names_bar_and_account() -> None:
    market = on_margin(brackets=np.array([[[5_000.0, 0.01, 0.0, 20.0]]]))
    small = SweepAccount(asked=asked(np.full(10, 0.4), 1))
    with pytest.raises(InputError, match=r"account 1: the bar of 2020-01-02 .* no bracket allows"):
        simulate(market, [small, replace(small, asked=asked(np.full(10, 0.6), 1))])


def test_what_is_not_known_is_flat_and_what_is_not_finite_stays_so() -> None:
    told = asked(np.array([math.nan, math.nan, math.inf, -1.0, 0.5]), 1)
    assert told.bars.tolist() == [1, 3, 4]
    assert told.targets.tolist() == [0.0, math.inf, -1.0]


def test_bars_and_scopes_must_fit() -> None:
    bars = random_bars(1, 10)
    with pytest.raises(InputError, match="one boolean per bar"):
        sweep_market(bars, timeframe="1d", inside=np.zeros(9, dtype=bool))
    with pytest.raises(InputError, match="initial_equity"):
        sweep_market(bars, timeframe="1d", initial_equity=0.0)
    with pytest.raises(InputError, match="one of its 10 bars; got row 10"):
        asked(np.ones(10), 10)
