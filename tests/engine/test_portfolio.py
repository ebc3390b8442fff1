"""An account of several positions: what is shared, and that one position is a single run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.book_market import (
    COSTS,
    HOWS,
    ONE,
    days,
    flat_bars,
    funding,
    how_of,
    perpetual,
    random_legs,
    rules,
    said_with,
    wild_bars,
    with_orders,
)

from delever.engine.backtest import backtest
from delever.engine.book_accounts import book_sweep
from delever.engine.portfolio import Leg, Margin, PortfolioBacktest, portfolio_backtest
from delever.engine.settings import Account, FundingSeries
from delever.errors import DataError, InputError
from delever.venues.brackets import Bracket

pytestmark = pytest.mark.xdist_group("portfolio")  # its loop is compiled in one process

many = settings(max_examples=500)
MODES = ("separate", "isolated", "cross")
ORDERS: list[dict[str, Any]] = [
    {},
    {"stop_loss": 0.1, "take_profit": 0.2, "trailing_stop": 0.15},
    {"limit_offset": 0.01},
]


def constant(legs: dict[str, Leg], **targets: float) -> pd.DataFrame:
    index = pd.DatetimeIndex(np.unique(np.concatenate([leg.bars.index for leg in legs.values()])))
    return pd.DataFrame(targets, index=index.tz_localize("UTC") if index.tz is None else index)


@pytest.mark.few(6)
@many
@given(
    seed=st.integers(0, 2**32 - 1),
    mode=st.sampled_from(MODES),
    orders=st.sampled_from(ORDERS),
    band=st.sampled_from([None, 0.3]),
    named=st.booleans(),
)
def test_a_portfolio_of_one_symbol_is_the_single_run_to_the_last_bit(
    seed: int, mode: str, orders: dict[str, Any], band: float | None, named: bool
) -> None:
    chance = np.random.default_rng(seed)
    times = days(25)
    bars = wild_bars(chance, times, 0.05)
    account = perpetual(
        "A/USDT:USDT", leverage=5.0, liquidation=0.005, funding=funding(chance, times), **orders
    )
    asked = pd.Series(chance.choice([-5.0, -2.0, 0.0, 1.0, 4.5], 25), index=times)
    targets: pd.Series | pd.DataFrame = asked.where(chance.random(25) < 0.4).ffill()
    several = targets.to_frame("A")
    if named and "limit_offset" not in orders:
        targets = said_with(chance, targets, bars["close"])
        several = pd.concat({"A": targets}, axis=1)
    own = "isolated" if mode == "isolated" else "cross"
    single = backtest(
        bars, targets, timeframe="1d", costs=COSTS, rebalance_band=band,
        account=replace(account, margin_mode=own),
    )  # fmt: skip
    legs = {"A": Leg(bars=bars, account=replace(account, margin_mode=own))}
    run = portfolio_backtest(
        legs, several, timeframe="1d", costs=COSTS, rebalance_band=band,
        margin=Margin(mode=mode),
    )  # fmt: skip
    kept = ["maintenance_margin", "margin_ratio"]
    np.testing.assert_allclose(run.ledger[kept], single.ledger[kept], rtol=1e-9, atol=1e-9)
    for name in single.ledger.columns.drop(kept):
        mine = run.legs["A"] if name in run.legs["A"] else run.ledger
        np.testing.assert_array_equal(mine[name], single.ledger[name], err_msg=str(name))
    pd.testing.assert_frame_equal(run.fills[single.fills.columns], single.fills, check_exact=True)
    pd.testing.assert_frame_equal(run.trades[single.trades.columns], single.trades, rtol=1e-9)


@pytest.mark.few(6)
@many
@given(
    seed=st.integers(0, 2**32 - 1),
    mode=st.sampled_from(sorted(HOWS)),
    orders=st.sampled_from(ORDERS),
)
def test_tables_add_up_and_cash_is_conserved(seed: int, mode: str, orders: dict[str, Any]) -> None:
    legs, targets = random_legs(seed, 20, 3, **orders)
    if seed % 2 and "limit_offset" not in orders:
        targets = with_orders(legs, targets, seed)
    run = portfolio_backtest(legs, targets, timeframe="1d", margin=how_of(mode, legs))
    change = np.diff(run.equity, prepend=run.initial_equity)
    np.testing.assert_allclose(run.parts.sum(axis=1), change, atol=1e-8)
    for name in ("price_pnl", "fee", "slippage", "liquidation", "funding", "borrow", "turnover",
                 "exposure", "target_exposure"):  # fmt: skip
        summed = np.sum([leg[name] for leg in run.legs.values()], axis=0)
        if mode == "separate" and name == "target_exposure":
            continue  # of each wallet
        np.testing.assert_allclose(summed, run.ledger[name], atol=1e-9, err_msg=name)
    cash = run.initial_equity + run.ledger[["funding", "liquidation"]].to_numpy().sum()
    cash -= run.ledger["borrow"].sum() + run.fills["fee"].sum()
    cash -= float((run.fills["quantity"] * run.fills["price"]).sum())
    assert run.ledger["cash"].iloc[-1] == pytest.approx(cash, abs=1e-7)
    assert run.trades["net_pnl"].sum() == pytest.approx(run.equity.iloc[-1] - 10_000.0, abs=1e-7)
    assert run.equity.min() >= -1e-9


@pytest.mark.few(6)
@many
@given(seed=st.integers(0, 2**32 - 1), mode=st.sampled_from(sorted(HOWS)))
def test_order_of_symbols_and_a_flat_one_change_nothing(seed: int, mode: str) -> None:
    legs, targets = random_legs(seed, 15, 3)
    how = how_of(mode, legs)
    if mode == "separate":
        how = replace(how, weights=dict(zip(legs, (0.5, 0.3, 0.2), strict=True)))
    run = portfolio_backtest(legs, targets, timeframe="1d", margin=how)
    turned = dict(reversed(legs.items()))
    again = portfolio_backtest(turned, targets[list(turned)], timeframe="1d", margin=how)
    pd.testing.assert_frame_equal(run.ledger, again.ledger, check_exact=True)
    flat = wild_bars(np.random.default_rng(seed), days(15), 0.1)
    more = legs | {"B9": Leg(bars=flat, account=perpetual("B9/USDT:USDT"))}
    if how.weights is not None:
        how = replace(how, weights={**how.weights, "B9": 0.0})
    wider = portfolio_backtest(more, targets.assign(B9=0.0), timeframe="1d", margin=how)
    pd.testing.assert_frame_equal(run.ledger, wider.ledger, check_exact=True)


@pytest.mark.few(6)
@many
@given(seed=st.integers(0, 2**32 - 1))
def test_separate_wallets_are_runs_of_their_own(seed: int) -> None:
    chance = np.random.default_rng(seed)
    times = days(20)
    legs, alone = {}, 0.0
    targets = pd.DataFrame(index=times)
    for name, share in (("A", 0.25), ("B", 0.75)):
        account = perpetual(f"{name}/USDT:USDT", leverage=4.0, funding=funding(chance, times))
        bars = wild_bars(chance, times, 0.08)
        legs[name] = Leg(bars=bars, account=account)
        targets[name] = chance.choice([-4.0, 0.0, 2.0], 20)
        alone = alone + backtest(
            bars, targets[name], timeframe="1d", account=account, costs=COSTS,
            initial_equity=share * 10_000.0,
        ).equity  # fmt: skip
    how = Margin(mode="separate", weights={"A": 0.25, "B": 0.75})
    run = portfolio_backtest(legs, targets, timeframe="1d", margin=how, costs=COSTS)
    np.testing.assert_allclose(run.equity, alone, rtol=1e-12)


def book_of(
    path: list[tuple[float, float]], brackets: tuple[Bracket, ...], leverage: float
) -> dict[str, Leg]:
    """A long whose bars go from 100 down to a low, and a leg whose price stands still."""
    times = days(len(path))
    falls = pd.DataFrame(
        [{"open": o, "high": o, "low": low, "close": low} for o, low in path], index=times
    )
    still = (Bracket(cap=np.inf, maintenance_margin_rate=0.005, max_leverage=199.0),)
    return {
        "falls": Leg(bars=falls, account=perpetual("F/U:U", brackets, leverage=leverage)),
        "still": Leg(bars=flat_bars(100.0, times), account=perpetual("S/U:U", still, leverage=190)),
    }


@pytest.mark.parametrize(("low", "gone"), [(99.40, False), (99.39, True)])
def test_what_another_position_must_keep_brings_the_liquidation_closer(
    low: float, gone: bool
) -> None:
    # Equity 5, one unit long at 100 and a rate of 0.004; the other position keeps 4. By hand:
    # 5 + (p - 100) = 0.004 p + 4, so p = 99 / 0.996 = 99.39759; without the other, 95.38.
    rate = (Bracket(cap=np.inf, maintenance_margin_rate=0.004, max_leverage=249.0),)
    legs = book_of([(100.0, 100.0), (100.0, low)], rate, 200.0)
    targets = constant(legs, falls=20.0, still=160.0)
    run = portfolio_backtest(legs, targets, timeframe="1d", initial_equity=5.0)
    bought = run.fills[run.fills["reason"] == "target"]
    assert bought["quantity"].tolist() == pytest.approx([1.0, 8.0])
    forced = run.fills[run.fills["reason"] == "liquidation"]
    assert bool(len(forced)) is gone
    if gone:
        assert forced["price"].tolist() == pytest.approx([99 / 0.996, 100.0], rel=1e-12)
        assert run.equity.iloc[-1] == 0.0


def test_a_hedge_is_liquidated_where_what_it_must_keep_meets_its_constant_equity() -> None:
    # Long 1 and short 1 of one coin at 100 with equity 50: 50 = 2 * 0.01 * p, so p = 2,500.
    times = days(4)
    bars = pd.DataFrame(
        {"open": [100.0, 100.0, 1.0, 2400.0], "high": [100.0, 101.0, 2400.0, 2600.0],
         "low": [100.0, 0.5, 1.0, 2400.0], "close": [100.0, 1.0, 2400.0, 2600.0]}, index=times,
    )  # fmt: skip
    legs = {
        name: Leg(bars=bars, account=perpetual(f"{name}/U:U", ONE, leverage=40.0)) for name in "AB"
    }
    targets = constant(legs, A=2.0, B=-2.0)
    run = portfolio_backtest(legs, targets, timeframe="1d", initial_equity=50.0)
    assert run.equity.tolist()[:3] == pytest.approx([50.0, 50.0, 50.0])
    forced = run.fills[run.fills["reason"] == "liquidation"]
    assert forced["price"].tolist() == pytest.approx([2_500.0, 2_500.0], rel=1e-12)
    # Had the two moved apart, it could have ended before; what ends it spares no way of moving.
    assert run.ledger["ambiguous"].tolist() == [False, True, True, False]


def test_one_margin_lost_leaves_the_other_position() -> None:
    times = days(3)
    falls = flat_bars(100.0, times).assign(low=[100.0, 60.0, 60.0], close=[100.0, 60.0, 60.0])
    falls["open"] = [100.0, 100.0, 60.0]
    falls["high"] = falls["open"]
    legs = {
        "A": Leg(bars=falls, account=perpetual("A/U:U", leverage=4.0)),
        "B": Leg(bars=flat_bars(10.0, times), account=perpetual("B/U:U", leverage=4.0)),
    }
    targets = constant(legs, A=2.0, B=2.0)
    isolated = portfolio_backtest(legs, targets, timeframe="1d", margin=Margin(mode="isolated"))
    assert isolated.equity.iloc[-1] == pytest.approx(5_000.0)  # A's margin: 20,000 / 4
    assert isolated.legs["B"]["position"].iloc[-1] == pytest.approx(2_000.0)
    shared = portfolio_backtest(legs, targets, timeframe="1d", margin=Margin(mode="cross"))
    # 10,000 + 200 (p - 100) = 0.01 * 200 p + 200, so p = 10,200 / 198: the low of 60 is above it.
    assert shared.equity.iloc[-1] == pytest.approx(2_000.0)


def test_a_missing_bar_makes_a_target_wait_and_a_mark_stay() -> None:
    times = days(5)
    rising = wild_bars(np.random.default_rng(1), times, 0.01)
    gap = rising.drop(times[[2, 3]])
    legs = {"A": Leg(bars=rising), "B": Leg(bars=gap)}
    asked = pd.DataFrame({"A": 0.2, "B": [0.2, 0.5, np.nan, 0.4, 0.4]}, index=times)
    run = portfolio_backtest(legs, asked, timeframe="1d", margin=Margin(mode="isolated"))
    at = run.fills[run.fills["symbol"] == "B"].set_index("time")
    assert at.index.tolist() == [times[1], times[4]]
    assert at["exposure"].tolist() == pytest.approx([0.2, 0.4])  # 0.5 was never asked for
    assert run.legs["B"]["mark"].iloc[1:4].nunique() == 1
    assert any("B 2" in note for note in run.fidelity)


@pytest.mark.parametrize("engine", ["numba", "plain"], indirect=True)
def test_an_end_is_known_when_patience_is_over_or_it_was_said(engine: Any) -> None:
    times = days(12)
    holed = flat_bars(100.0, times[[0, 1, 2, 3, 7, 8]])
    told = {"patience": pd.Timedelta(days=2), "ended": times[10], "ends": 20.0}
    legs = {"A": Leg(bars=flat_bars(10.0, times)), "B": Leg(bars=holed, **told)}
    run = portfolio_backtest(
        legs, constant(legs, A=0.0, B=0.5), timeframe="1d", initial_equity=1.0, engine=engine
    )
    # The hole begins when the fourth bar closes: two days later it is known. B is bought back at
    # its next open; its end is said a day after its last close, before two days are over.
    ones = run.fills.set_index("time")
    assert ones.index.tolist() == [times[1], times[5], times[7], times[9]]
    assert ones["reason"].tolist() == ["target", "delisted", "target", "delisted"]
    assert ones["price"].tolist() == [100.0, 100.0, 100.0, 20.0]
    assert any("a recovery of 20 with the bar of 2021-01-10" in note for note in run.fidelity)


@pytest.mark.parametrize(
    ("ends", "left"), [("last", 0.5 * 80 / 100 + 0.5), (20.0, 0.6), (0.0, 0.5)]
)
def test_a_symbol_that_ends_is_closed_at_its_last_price_or_at_what_was_recovered(
    ends: Any, left: float
) -> None:
    times = days(5)
    dies = flat_bars(100.0, times[:3]).assign(close=[100.0, 100.0, 80.0])
    dies["low"] = dies["close"]
    legs = {"A": Leg(bars=flat_bars(10.0, times)), "B": Leg(bars=dies, ends=ends)}
    targets = constant(legs, A=0.5, B=0.5)
    run = portfolio_backtest(legs, targets, timeframe="1d", initial_equity=1.0)
    assert run.equity.iloc[-1] == pytest.approx(left)
    assert run.trades["exit_reason"].tolist() == ["", "delisted"]
    assert run.legs["B"]["position"].iloc[-1] == 0.0
    assert any(note.startswith("B: its bars end on 2021-01-03") for note in run.fidelity)
    refused = {**legs, "B": Leg(bars=dies, ends=None)}
    with pytest.raises(InputError, match="B: bars must last as long as the run"):
        portfolio_backtest(refused, targets, timeframe="1d")


def test_funding_of_a_day_without_a_bar_is_settled_at_the_next_open() -> None:
    times = days(4)
    bars = flat_bars(100.0, times).drop(times[2])
    stamps = pd.date_range(times[0], times[-1] + pd.Timedelta(days=1), freq="8h")
    rates = pd.Series(0.0, index=stamps)
    rates[times[2] : times[2] + pd.Timedelta(hours=16)] = 0.01
    account = perpetual("A/U:U", funding=FundingSeries.of(rates))
    target = pd.Series(1.0, index=bars.index)
    run = backtest(bars, target, timeframe="1d", account=account, initial_equity=100.0)
    assert run.ledger["funding"].tolist() == pytest.approx([0.0, 0.0, -3.0])


def test_a_window_keeps_whole_bars_of_the_ledger_and_of_every_leg() -> None:
    legs, targets = random_legs(3, 20, 3)
    run = portfolio_backtest(legs, targets, timeframe="1d")
    cut = run.window(run.equity.index[5], run.equity.index[12])
    assert isinstance(cut, PortfolioBacktest)
    assert all(leg.index.equals(cut.ledger.index) for leg in cut.legs.values())
    assert cut.initial_equity == run.equity.iloc[4]


LEGS = {
    name: Leg(bars=flat_bars(100.0, days(3)), account=perpetual(f"{name}/U:U", leverage=2.0))
    for name in ("A", "B")
}
HOURS = pd.date_range("2021-01-01", periods=9, freq="4h", tz="UTC")
UNFUNDED = perpetual("B/U:U", funding_policy="required")
ASKED = pd.DataFrame({"A": 0.5, "B": 0.5}, index=days(3))


def named(**orders: float) -> pd.DataFrame:
    """The same with orders beside the second leg's."""
    frame = pd.DataFrame({"exposure": 0.5, **orders}, index=days(3))
    return pd.concat({"A": frame[["exposure"]], "B": frame}, axis=1)


@pytest.mark.parametrize(
    ("legs", "targets", "kind", "said"),
    [
        ({}, ASKED, InputError, "legs must be a mapping of symbol to Leg"),
        (LEGS, ASKED[["A", "A"]], InputError, "every symbol once; 'A' is a column twice"),
        (LEGS, ASKED[["A"]], InputError, "one column per leg: A, B; got A"),
        (LEGS, ASKED.iloc[:2], InputError, "got 2 rows for 3 times"),
        (LEGS, ASKED * 3.0, InputError, r"at 2021-01-02 00:00 it is 1.5"),
        (LEGS, ASKED * 5.0, InputError, r"A: target_exposure must lie in \[-2, 2\]"),
        (LEGS, ASKED.assign(A=[0.1, np.nan, 0.1]), InputError, "A: target_exposure may be NaN"),
        (
            LEGS, named(exposure_2=2.5, limit_price_2=90.0), InputError,
            "B: target_exposure: orders may not go beyond the leverage in force; exposure_2",
        ),
        (
            LEGS, named(exposure_2=1.9, limit_price_2=90.0), InputError,
            r"of a ladder, of its last rung\) must be at most 1; at 2021-01-02 00:00 it is 1.2",
        ),
        (
            LEGS, named(limit_price=90.0, stop_price=95.0), InputError,
            "B: target_exposure: bar 2021-01-01 00:00: stop_price must lie on the losing side of",
        ),
        (
            {**LEGS, "B": replace(LEGS["A"])}, ASKED, InputError,
            "every symbol once; A/U:U is held by A and B",
        ),
        (
            {**LEGS, "B": Leg(bars=flat_bars(1.0, HOURS))}, ASKED, InputError,
            "B: all legs must have bars of one timeframe, 1d",
        ),
        (
            {**LEGS, "B": replace(LEGS["B"], account=UNFUNDED)}, ASKED, DataError,
            "B: funding must cover the run",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_in_one_sentence(
    legs: Any, targets: pd.DataFrame, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        portfolio_backtest(legs, targets, timeframe="1d")


def test_a_contract_of_one_venue_stands_in_one_wallet() -> None:
    legs = {**LEGS, "B": replace(LEGS["A"])}
    for mode in ("separate", "cross"):
        with pytest.raises(
            InputError, match="once; A/U:U is held by A and B; add their targets up"
        ):
            portfolio_backtest(legs, ASKED, timeframe="1d", margin=Margin(mode=mode))
        with pytest.raises(InputError, match="A/U:U is held by A and B"):
            book_sweep(legs, timeframe="1d", margin=Margin(mode=mode))
    account = legs["B"].account
    elsewhere = replace(account, rules=replace(rules(ONE, "A/U:U"), venue="other"))
    two = {**legs, "B": replace(legs["B"], account=elsewhere)}
    run = portfolio_backtest(two, ASKED, timeframe="1d", margin=Margin(mode="separate"))
    assert len(run.fills) == 2


def test_a_decision_before_a_legs_first_bar_is_checked_as_the_rest() -> None:
    days = pd.date_range("2021-01-01", periods=5, tz="UTC", name="open_time").as_unit("ns")
    flat = pd.DataFrame(100.0, days, ["open", "high", "low", "close"])
    legs = {"A": Leg(bars=flat), "B": Leg(bars=flat.iloc[2:])}
    asked = pd.DataFrame({"exposure": 0.5, "stop_price": 50.0}, index=days)
    late = asked.assign(stop_price=[-5.0, -5.0, 50.0, 50.0, 50.0])
    target = pd.concat({"A": asked, "B": late}, axis=1)
    with pytest.raises(InputError, match=r"B: .*before the first bar 2021-01-03 00:00: stop_price"):
        portfolio_backtest(legs, target, timeframe="1d")


def settled_in_coins(symbol: str, **settings: Any) -> Account:
    account = perpetual(symbol, **settings)
    assert not isinstance(account.contract, str)
    assert account.contract is not None
    return replace(account, contract=replace(account.contract, kind="inverse"))


def test_a_leg_that_is_settled_in_its_coin_stands_in_no_wallet_of_others() -> None:
    legs = {**LEGS, "B": replace(LEGS["B"], account=settled_in_coins("B/U:B"))}
    for mode in ("isolated", "cross"):
        with pytest.raises(InputError, match="B: legs of one wallet must have one collateral"):
            portfolio_backtest(legs, ASKED, timeframe="1d", margin=Margin(mode=mode))
    ends = replace(legs["B"], ends=40.0)
    with pytest.raises(InputError, match="B: a contract settled in its coin ends at its last"):
        portfolio_backtest(
            {**legs, "B": ends}, ASKED, timeframe="1d", margin=Margin(mode="separate")
        )


@pytest.mark.few(6)
@many
@given(seed=st.integers(0, 2**32 - 1), orders=st.sampled_from(ORDERS), named=st.booleans())
def test_a_perpetual_and_an_inverse_contract_of_one_coin_have_a_wallet_each(
    seed: int, orders: dict[str, Any], named: bool
) -> None:
    chance = np.random.default_rng(seed)
    times = days(20)
    bars = wild_bars(chance, times, 0.05)
    told = {"leverage": 5.0, "liquidation": 0.005, "funding": funding(chance, times)} | orders
    accounts = {
        "coins": settled_in_coins("B/U:B", **told),
        "dollars": perpetual("B/U:U", **told),
    }
    asked: dict[str, Any] = {}
    for name, each in accounts.items():
        accounts[name] = replace(each, margin_mode="cross" if seed % 2 else "isolated", bounds=True)
        wish = pd.Series(chance.choice([-5.0, -2.0, 0.0, 1.0, 4.5], 20), index=times)
        wish = wish.where(chance.random(20) < 0.4).ffill()
        said = named and "limit_offset" not in orders
        asked[name] = said_with(chance, wish, bars["close"]) if said else wish.to_frame("exposure")
    alone = {
        name: backtest(
            bars, asked[name] if asked[name].shape[1] > 1 else asked[name]["exposure"],
            timeframe="1d", costs=COSTS, account=accounts[name], initial_equity=share * 10_000.0,
        )
        for name, share in (("coins", 0.4), ("dollars", 0.6))
    }  # fmt: skip
    legs = {name: Leg(bars=bars, account=each) for name, each in accounts.items()}
    run = portfolio_backtest(
        legs, pd.concat(asked, axis=1), timeframe="1d", costs=COSTS,
        margin=Margin(mode="separate", weights={"coins": 0.4, "dollars": 0.6}),
    )  # fmt: skip
    whole = alone["coins"].equity + alone["dollars"].equity
    np.testing.assert_allclose(run.equity, whole, rtol=1e-9, atol=1e-9)
    assert run.bounds is not None
    change = np.diff(run.equity, prepend=run.initial_equity)
    np.testing.assert_allclose(run.parts.sum(axis=1), change, atol=1e-7)
    single = alone["coins"]
    own = run.fills[run.fills["symbol"] == "coins"].reset_index(drop=True)
    for name in ("price", "quantity", "notional", "fee", "position"):
        np.testing.assert_allclose(own[name], single.fills[name], rtol=1e-9, atol=1e-9)
    pairs = ("position", "funding", "fee", "liquidation_price", "entry_price")
    for name in pairs:
        np.testing.assert_allclose(
            run.legs["coins"][name], single.ledger[name], rtol=1e-9, atol=1e-9, err_msg=name
        )
    assert run.trades["net_pnl"].sum() + single.ledger["collateral"].sum() == pytest.approx(
        run.equity.iloc[-1] - 10_000.0, abs=1e-6
    )
    assert any("coins: its wallet holds coins" in note for note in run.fidelity)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Margin(mode="joint"), "mode must be one of 'separate', 'isolated', 'cross'"),
        (lambda: Margin(weights={"A": 1.0}), "weights are shares of separate wallets"),
        (lambda: Margin(mode="separate", weights={"A": 0.7}), "they sum to 0.7"),
        (lambda: Leg(bars=LEGS["A"].bars, ends=-1.0), "ends must be 'last', a recovery price"),
    ],
)
def test_settings_that_make_no_sense_are_refused(made: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        made()
