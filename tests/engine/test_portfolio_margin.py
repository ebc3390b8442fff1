"""How positions stand behind each other: the joint path, collateral, venues' rules, both loops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.engine.book_market import (
    HOWS,
    ONE,
    days,
    flat_bars,
    how_of,
    perpetual,
    plainly,
    random_legs,
    rulebook,
    rules,
    with_orders,
)

from delever.engine.book_kernel import run_book
from delever.engine.book_market import lay_out
from delever.engine.legs import decided_targets, read_leg, shared_by, union
from delever.engine.portfolio import Leg, Margin, PortfolioBacktest, portfolio_backtest
from delever.engine.settings import Account, Resolution
from delever.errors import InputError
from delever.venues.brackets import Bracket, bracket_table
from delever.venues.contract import PerpContract
from delever.venues.costs import Costs
from delever.venues.margin_formulas import FORMULAS
from delever.venues.rulebook import load_rulebook
from delever.venues.rules import Fees

pytestmark = pytest.mark.xdist_group("portfolio")  # its loop is compiled in one process

many = settings(max_examples=500)
ORDERS: list[dict[str, Any]] = [
    {},
    {"stop_loss": 0.1, "take_profit": 0.2, "trailing_stop": 0.15},
    {"stop_loss": 0.03, "take_profit": 0.03},
    {"limit_offset": 0.01},
]


@pytest.mark.few(8)
@many
@given(
    seed=st.integers(0, 2**32 - 1),
    how=st.sampled_from(sorted(HOWS)),
    orders=st.sampled_from(ORDERS),
    band=st.sampled_from([None, 0.2]),
    bounds=st.booleans(),
    named=st.booleans(),
)
# In the first, one lacks the fatal bar.
@example(seed=1, how="collateral", orders={}, band=None, bounds=False, named=False)
def test_the_twins_agree(
    seed: int, how: str, orders: dict[str, Any], band: float | None, bounds: bool, named: bool
) -> None:
    legs, targets = random_legs(seed, 12, 3 + seed % 2, bounds=bounds, **orders)
    if named and "limit_offset" not in orders:
        targets = with_orders(legs, targets, seed)
    asked: dict[str, Any] = {"timeframe": "1d", "margin": how_of(how, legs), "rebalance_band": band}
    plain = plainly(legs, targets, **asked)
    compiled = portfolio_backtest(legs, targets, **asked)

    def same(one: Any, other: Any) -> None:
        pd.testing.assert_frame_equal(one, other, rtol=1e-12, atol=1e-8)

    same(compiled.ledger, plain.ledger)
    same(compiled.fills, plain.fills)
    for name, leg in plain.legs.items():
        same(compiled.legs[name], leg)
    assert compiled.fidelity == plain.fidelity
    if plain.bounds is not None:
        same(compiled.bounds, plain.bounds)


def equity_of(legs: dict[str, Leg], targets: pd.DataFrame, resolution: Resolution) -> np.ndarray:
    """Equity of a cross account, with what bars hide resolved in one way."""
    how = Margin()
    read = {name: read_leg(name, legs[name], how, None, "1d") for name in sorted(legs)}
    clock = union([leg.index for leg in read.values()])
    asked = decided_targets(targets, read, clock)
    path = lay_out(
        read, asked, clock, timeframe="1d", band=np.inf, resolution=resolution,
        shared=shared_by(how, read, clock)[0],
    )  # fmt: skip
    rows = run_book(path.market, path.terms, cash=10_000.0, shared=True).book
    return np.asarray(rows[:, 0])


def ended(equity: np.ndarray) -> int:
    """First bar without anything left."""
    return int(np.argmax(np.append(equity, 0.0) == 0.0))


@pytest.mark.few(8)
@many
@given(seed=st.integers(0, 2**32 - 1))
def test_the_joint_path_and_finer_bars_lie_between_the_bounds(seed: int) -> None:
    chance = np.random.default_rng(seed)
    times = days(12)
    hours = pd.date_range(times[0], periods=72, freq="4h", tz="UTC")
    whole, finer, targets = {}, {}, {}
    common = 0.02 * chance.standard_normal(72)
    for number in range(3):
        body = common * chance.choice([1.0, -0.5]) + 0.02 * chance.standard_normal(72)
        close = 100.0 * np.exp(np.cumsum(body))
        opened = np.append(100.0, close[:-1])
        up, down = np.exp(np.abs(0.01 * chance.standard_normal((2, 72))))
        fine = pd.DataFrame(
            {
                "open": opened,
                "high": np.maximum(opened, close) * up,
                "low": np.minimum(opened, close) / down,
                "close": close,
            },
            index=hours,
        )
        bars = fine.resample("1D").agg(
            {"open": "first", "high": "max", "low": "min", "close": "last"}
        )
        name = "ABC"[number]
        account = perpetual(f"{name}/U:U", ONE, leverage=40.0)
        whole[name] = Leg(bars=bars, account=account)
        finer[name] = Leg(bars=bars, account=replace(account, detail=fine))
        targets[name] = chance.choice([-4.0, -2.0, 2.0, 4.0])
    asked = pd.DataFrame(targets, index=times)
    worst, best = (equity_of(whole, asked, way) for way in ("worst", "best"))  # type: ignore[arg-type]
    for run in (equity_of(whole, asked, "run"), equity_of(finer, asked, "run")):
        assert ended(worst) <= ended(run) <= ended(best)
        left = slice(0, ended(worst))
        np.testing.assert_allclose(run[left], worst[left], rtol=1e-9)


def test_marks_that_have_moved_apart_go_apart_inside_a_bar() -> None:
    # Long both at 2x each: together the lows of the last bar cost 4 * 30 %, apart nearly nothing.
    size = 40
    times = days(size)

    def bars(side: float) -> pd.DataFrame:
        close = 100.0 * (1.0 + side * 0.01 * (-1.0) ** np.arange(size))
        opened = np.append(100.0, close[:-1])
        high, low = np.maximum(opened, close), np.minimum(opened, close)
        high[-1], low[-1] = 130.0, 70.0
        prices = {"open": opened, "high": high, "low": low, "close": close}
        return pd.DataFrame(prices, index=times)

    targets = pd.DataFrame({"A": 2.0, "B": 2.0}, index=times)
    ends = {}
    for name, other in (("with", 1.0), ("against", -1.0)):
        legs = {
            "A": Leg(bars=bars(1.0), account=perpetual("A/U:U", ONE, leverage=10.0)),
            "B": Leg(bars=bars(other), account=perpetual("B/U:U", ONE, leverage=10.0)),
        }
        run = portfolio_backtest(legs, targets, timeframe="1d")
        ends[name] = run.equity.iloc[-1] > 0.0
        assert bool(run.ledger["ambiguous"].iloc[-1])
    assert ends == {"with": False, "against": True}


def held_at(
    entries: dict[str, float],
    marks: dict[str, float],
    sizes: dict[str, float],
    accounts: dict[str, Account],
    *,
    cash: float,
    margin: Margin,
) -> PortfolioBacktest:
    """Positions bought at entry prices with an equity, and their marks at the close after."""
    times = days(2)
    legs, targets = {}, {}
    for name, entry in entries.items():
        ends = sorted((entry, marks[name]))
        rows = {"open": entry, "high": [entry, ends[1]], "low": [entry, ends[0]]}
        bars = pd.DataFrame(rows | {"close": [entry, marks[name]]}, index=times)
        legs[name] = Leg(bars=bars, account=accounts[name])
        targets[name] = sizes[name] * entry / cash
    asked = pd.DataFrame(targets, index=times)
    run = portfolio_backtest(
        legs, asked, timeframe="1d", margin=margin, initial_equity=cash, costs=Costs()
    )
    for name, size in sizes.items():
        assert run.legs[name]["position"].iloc[-1] == pytest.approx(size)
    return run


def test_binances_published_example_of_two_positions() -> None:
    # Binance Futures FAQ, How to Calculate Liquidation Price of USD-M Futures Contracts (the
    # numbers are also in freqtrade's tests): wallet 1,535,443.01; BTC 109.488 at 32,481.98, mark
    # 31,967.27; ETH 3,683.979 at 1,456.84, mark 1,335.18; liquidation of BTC at 26,316.89.
    venue = [(1_000_000.0, 0.01, 50), (5_000_000.0, 0.025, 20)]
    btc = bracket_table([(50_000, 0.004, 125), (250_000, 0.005, 100), *venue], progressive=True)
    assert btc[3].maintenance_amount == pytest.approx(16_300.0)
    tenth = replace(flat(0.1, 9.0)[0], maintenance_amount=135_365.0)
    run = held_at(
        {"BTC": 32_481.98, "ETH": 1_456.84},
        {"BTC": 31_967.27, "ETH": 1_335.18},
        {"BTC": 109.488, "ETH": 3_683.979},
        {
            "BTC": perpetual("BTC/USDT:USDT", btc, leverage=20.0),
            "ETH": perpetual("ETH/USDT:USDT", (tenth,), leverage=5.0),
        },
        cash=1_535_443.01,
        margin=Margin(rules=load_rulebook("data/venues/binanceusdm.toml")),
    )  # fmt: skip
    last = run.ledger.iloc[-1]
    assert run.legs["BTC"]["liquidation_price"].iloc[-1] == pytest.approx(26_316.89, abs=0.01)
    assert last["maintenance_margin"] == pytest.approx(71_200.81144 + 356_512.508, abs=0.02)
    assert last["wallet_balance"] == pytest.approx(1_535_443.01)


def flat(rate: float, leverage: float) -> tuple[Bracket, ...]:
    return (Bracket(cap=np.inf, maintenance_margin_rate=rate, max_leverage=leverage),)


def test_binances_published_multi_assets_account() -> None:
    # Binance FAQ, How to Calculate Margin in Multi-Assets Mode: 200 USDT at the bid rate of 0.9801
    # and 220 BUSD make an equity of 416.02; 0.5 BTC at 20,000 USDT (ask rate 0.99495) kept at 0.8 %
    # and 20 ETH at 600 BUSD at 1 % must keep 199.596; the margin ratio is 47.98 %.
    price = {"USDT": 0.99, "BTC": 20_000 * 0.99495, "ETH": 600.0}
    run = held_at(
        price, price, {"USDT": 200.0, "BTC": 0.5, "ETH": 20.0},
        {
            "USDT": Account(),
            "BTC": perpetual("BTC/USDT:USDT", flat(0.008, 100), leverage=100.0),
            "ETH": perpetual("ETH/BUSD:BUSD", flat(0.01, 50), leverage=50.0),
        },
        cash=220.0 + 200.0 * 0.99,
        margin=Margin(mode="multi_asset", counted={"USDT": 0.99}),
    )  # fmt: skip
    last = run.ledger.iloc[-1]
    assert last["maintenance_margin"] == pytest.approx(199.596)
    assert last["margin_ratio"] == pytest.approx(199.596 / 416.02)
    assert round(last["margin_ratio"], 4) == 0.4798


def test_okxs_adjusted_equity_and_bybits_margin_balance() -> None:
    # OKX help, Multi-currency margin mode: 2 BTC at 100,000 counted at 0.98, and 110,000 USDT with
    # 10,000 of profit; adjusted equity 2 * 100,000 * 0.98 + 120,000 = 316,000. What is kept is rate
    # and fee of the value at the mark (Margin ratio: 1 % is this rulebook's assumption).
    okx = load_rulebook("data/venues/okx.toml")
    perp = replace(perpetual("BTC/USDT:USDT", leverage=10.0), contract="BTC/USDT:USDT", rules=okx)
    run = held_at(
        {"BTC/USDT": 100_000.0, "swap": 80_000.0}, {"BTC/USDT": 100_000.0, "swap": 100_000.0},
        {"BTC/USDT": 2.0, "swap": 0.5}, {"BTC/USDT": Account(), "swap": perp},
        cash=310_000.0, margin=Margin(mode="multi_asset", rules=okx),
    )  # fmt: skip
    kept = 0.5 * 100_000 * (0.01 + 0.0005)
    assert run.ledger["margin_ratio"].iloc[-1] == pytest.approx(kept / 316_000.0)
    # Bybit help centre: the account's rate is maintenance margin / margin balance, with coins at
    # their collateral value ratio: 1 BTC at 0.98 and 10,000 USDT, short 1 BTC kept at 0.5 %.
    bybit = load_rulebook("data/venues/bybit.toml")
    short = replace(perp, rules=bybit)
    run = held_at(
        {"BTC/USDT": 60_000.0, "swap": 60_000.0}, {"BTC/USDT": 60_000.0, "swap": 60_000.0},
        {"BTC/USDT": 1.0, "swap": -1.0}, {"BTC/USDT": Account(), "swap": short},
        cash=70_000.0, margin=Margin(mode="multi_asset", rules=bybit),
    )  # fmt: skip
    assert run.ledger["margin_ratio"].iloc[-1] == pytest.approx(300.0 / (58_800.0 + 10_000.0))


def test_hyperliquids_cross_formula() -> None:
    # Hyperliquid Docs, Liquidations: liq_price = price - side * margin_available / position_size /
    # (1 - l * side), margin_available = account_value - maintenance_margin_required, l = 1 / 80.
    rows = bracket_table([(150_000_000, 0.0125, 40)], progressive=True)
    both = {name: perpetual(f"{name}/USDC:USDC", rows, leverage=20.0) for name in ("BTC", "ETH")}
    price = {"BTC": 60_000.0, "ETH": 3_000.0}
    run = held_at(
        price, {"BTC": 61_000.0, "ETH": 3_050.0}, {"BTC": 1.0, "ETH": -10.0}, both, cash=9_000.0,
        margin=Margin(rules=load_rulebook("data/venues/hyperliquid.toml")),
    )  # fmt: skip
    value = 9_000.0 + 1_000.0 - 500.0
    available = value - 0.0125 * (61_000.0 + 30_500.0)
    told = {name: run.legs[name]["liquidation_price"].iloc[-1] for name in both}
    assert told["BTC"] == pytest.approx(61_000.0 - available / 1.0 / (1 - 0.0125))
    assert told["ETH"] == pytest.approx(3_050.0 + available / 10.0 / (1 + 0.0125))


@pytest.mark.parametrize(
    ("coin", "rate", "side", "size", "entry", "equity", "told"),
    [
        ("ETH", 0.01, 1.0, 0.0199, 2459.5, 24.454895, 1243.0411908),
        ("BTC", 0.01, 1.0, 0.0015, 66930.0, 20.043862, 54108.51043771),
        ("BTC", 0.01, -1.0, 0.00145, 68139.0, 19.72573, 80933.61590987),
        ("SOL", 0.025, 1.0, 0.6, 173.06, 20.735658, 142.05186667),
        ("SOL", 0.025, -1.0, 0.48, 163.11, 15.650731, 190.94213618),
        ("DOGE", 0.025, -1.0, 351.0, 0.14333, 25.136807, 0.20970228),
    ],
)
def test_hyperliquid_says_these_prices_of_its_positions(
    coin: str, rate: float, side: float, size: float, entry: float, equity: float, told: float
) -> None:
    # Positions as Hyperliquid's interface gave them in October 2024, collected in freqtrade's tests
    # (tests/exchange/test_hyperliquid.py); rates are half of one over the maximum leverage then, 50
    # and 20. The account holds nothing else: a second position that is flat changes nothing.
    row = (Bracket(cap=np.inf, maintenance_margin_rate=rate, max_leverage=0.5 / rate),)
    symbols = {coin: f"{coin}/USDC:USDC", "other": "X/USDC:USDC"}
    run = held_at(
        {coin: entry, "other": 10.0}, {coin: entry, "other": 10.0},
        {coin: side * size, "other": 0.0},
        {name: perpetual(symbol, row, leverage=10.0) for name, symbol in symbols.items()},
        cash=equity, margin=Margin(rules=load_rulebook("data/venues/hyperliquid.toml")),
    )  # fmt: skip
    price = run.legs[coin]["liquidation_price"].iloc[-1]
    assert price == pytest.approx(told, rel=1e-4)  # its equity is not at exactly the entry


@pytest.mark.parametrize(
    ("venue", "row", "size", "entry", "equity", "told"),
    [
        # Bybit help, Liquidation Price (USDT Contract), Cross Margin: 2,000 are available beside
        # an initial margin of 1 %, of which half of a per cent of the entry value must be kept: so
        # 2,100 can be lost, 1,050 a coin.
        ("bybit", (0.005, 100.0), 2.0, 10_000.0, 2_200.0, 8_950.0),
        # OKX's calculator, as a guide to it shows it (deveab.com/7216); what must be kept are the
        # 0.4 % of the lowest tier and the taker fee of 0.05 %, at the mark.
        ("okx", (0.004, 100.0), 0.5, 60_996.0, 5_000.0, 51_226.5),
    ],
)
def test_a_position_alone_in_a_cross_account_is_liquidated_where_its_venue_says(
    venue: str, row: tuple[float, float], size: float, entry: float, equity: float, told: float
) -> None:
    book = load_rulebook(f"data/venues/{venue}.toml")
    brackets = (Bracket(cap=np.inf, maintenance_margin_rate=row[0], max_leverage=row[1]),)
    fees = Fees(maker=0.0, taker=0.0005, liquidation=0.0)
    told_by = replace(rules(brackets, "BTC/USDT:USDT"), formula=FORMULAS[f"{venue}_linear"])
    swap = perpetual("BTC/USDT:USDT", leverage=10.0)
    swap = replace(swap, rules=replace(told_by, fees=fees))
    other = perpetual("X/USDT:USDT", leverage=10.0)
    run = held_at(
        {"swap": entry, "other": 10.0}, {"swap": entry, "other": 10.0},
        {"swap": size, "other": 0.0}, {"swap": swap, "other": other},
        cash=equity, margin=Margin(rules=book),
    )  # fmt: skip
    assert run.legs["swap"]["liquidation_price"].iloc[-1] == pytest.approx(told, abs=0.03)


def falling(prices: list[float]) -> pd.DataFrame:
    opened = [prices[0], *prices[:-1]]
    rows = {"open": opened, "high": opened, "low": prices, "close": prices}
    return pd.DataFrame(rows, index=days(len(prices)))


TIERS = bracket_table([(1_000, 0.01, 50), (10_000, 0.1, 8)], progressive=True)


def test_a_position_goes_down_by_one_bracket_and_what_is_left_stays() -> None:
    # Long 50 at 100 with 1,000: 1,000 + 50 (p - 100) = 0.1 * 50 p - 90 at p = 3,910 / 45. Cut to
    # 1,000 of value: 11.509 are left, of which 115.09 * 0.01 must be kept.
    legs = {
        "A": Leg(bars=falling([100.0, 100.0, 85.0]), account=perpetual("A/U:U", TIERS, leverage=7)),
        "B": Leg(bars=flat_bars(10.0, days(3)), account=perpetual("B/U:U", ONE, leverage=7)),
    }
    targets = pd.DataFrame({"A": 5.0, "B": 0.0}, index=days(3))
    rules = rulebook("tier", 1.0, "largest_loss")
    run = portfolio_backtest(
        legs, targets, timeframe="1d", initial_equity=1_000.0, margin=Margin(rules=rules)
    )
    met = 3_910.0 / 45.0
    forced = run.fills[run.fills["reason"] == "liquidation"]
    assert forced["price"].tolist() == pytest.approx([met])
    left = 1_000.0 / met
    assert run.legs["A"]["position"].iloc[-1] == pytest.approx(left)
    equity = 1_000.0 + 50.0 * (met - 100.0) + left * (85.0 - met)
    assert run.equity.iloc[-1] == pytest.approx(equity)
    whole = replace(Margin(rules=rules), liquidation="whole")
    lost = portfolio_backtest(legs, targets, timeframe="1d", initial_equity=1_000.0, margin=whole)
    assert lost.equity.iloc[-1] == 0.0


def test_the_largest_loss_goes_first_and_a_fifth_of_it() -> None:
    legs = {
        "A": Leg(bars=falling([100.0, 100.0, 95.0]), account=perpetual("A/U:U", ONE, leverage=40)),
        "B": Leg(bars=falling([100.0, 100.0, 99.0]), account=perpetual("B/U:U", ONE, leverage=40)),
    }
    targets = pd.DataFrame({"A": 18.0, "B": 18.0}, index=days(3))
    rules = rulebook("share", 0.2, "largest_loss")
    run = portfolio_backtest(legs, targets, timeframe="1d", margin=Margin(rules=rules))
    # Both fall in a line: 10,000 - 1,800 (5 + 1) s = 0.01 * 1,800 (200 - 6 s), and s is
    way = 6_400.0 / 10_692.0
    forced = run.fills[run.fills["reason"] == "liquidation"]
    assert forced["symbol"].iloc[0] == "A"
    assert forced["price"].iloc[0] == pytest.approx(100.0 - 5.0 * way)
    assert forced["quantity"].iloc[0] == pytest.approx(-0.2 * 1_800.0)
    assert run.equity.iloc[-1] > 0.0


def test_collateral_that_counts_carries_a_hedge_and_is_sold_for_what_is_owed() -> None:
    # Spot 0.9 and short perpetual 0.9 of one coin, the spot counted at 0.9: a rise of 100 leaves
    # equity where it was, and the margin balance at 10,000 - 0.1 * spot. In cross margin, where
    # spot does not count, 0.9 of the equity is spent and the target is refused.
    rises = falling([100.0, 100.0, 100.0]).assign(
        high=[100.0, 100.0, 200.0], close=[100, 100, 200.0]
    )
    perp = perpetual("A/U:U", ONE, leverage=10.0)
    legs = {"A/U": Leg(bars=rises), "A/U:U": Leg(bars=rises, account=perp)}
    targets = pd.DataFrame({"A/U": 0.9, "A/U:U": -0.9}, index=days(3))
    counts = Margin(mode="multi_asset", counted={"A/U": 0.9})
    run = portfolio_backtest(legs, targets, timeframe="1d", margin=counts)
    assert run.equity.iloc[-1] == pytest.approx(10_000.0)
    kept = 0.01 * 90.0 * 200.0
    assert run.ledger["margin_ratio"].iloc[-1] == pytest.approx(kept / (10_000.0 - 0.1 * 18_000.0))
    with pytest.raises(InputError, match=r"counted must name legs of spot \(A/U\); got A/U:U"):
        portfolio_backtest(
            legs, targets, timeframe="1d", margin=replace(counts, counted={"A/U:U": 0.9})
        )
    few = replace(counts, counted={"A/U": 0.5})
    gone = portfolio_backtest(legs, targets, timeframe="1d", margin=few)
    # 10,000 - 0.5 * 90 p = 0.01 * 90 p at p = 10,000 / 45.9 = 217.9: above 200, so nothing yet.
    assert gone.legs["A/U:U"]["position"].iloc[-1] == pytest.approx(-90.0)
    higher = rises.assign(high=[100, 100, 300.0], close=[100, 100, 300.0])
    legs = {"A/U": Leg(bars=higher), "A/U:U": Leg(bars=higher, account=perp)}
    gone = portfolio_backtest(legs, targets, timeframe="1d", margin=few)
    met = 10_000.0 / 45.9
    forced = gone.fills[gone.fills["reason"] == "liquidation"].set_index("symbol")
    assert forced.loc["A/U:U", "price"] == pytest.approx(met)
    # The balance is lost, and what the spot had counted for is owed: half of it is sold.
    assert gone.legs["A/U"]["position"].iloc[-1] == pytest.approx(45.0)
    assert gone.ledger["cash"].iloc[-1] == pytest.approx(0.0, abs=1e-9)
    assert gone.equity.iloc[-1] == pytest.approx(45.0 * 300.0)
    with pytest.raises(InputError, match=r"of its last rung\) must be at most 1; at"):
        portfolio_backtest(legs, targets * 1.1, timeframe="1d", margin=Margin())


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"mode": "multi_asset"}, "multi_asset must know what counts as collateral"),
        ({"counted": {"A": 0.9}}, "counted goes with multi_asset"),
        ({"mode": "multi_asset", "counted": {"A": 95.0}}, "counted must be shares from 0 to 1"),
        ({"liquidation": "half"}, "liquidation must be one of 'venue', 'whole'"),
    ],
)
def test_margin_that_makes_no_sense_is_refused(made: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Margin(**made)


def test_the_loop_as_python_runs_it_is_the_compiled_one_to_the_last_bit() -> None:
    for seed, how in enumerate(sorted(HOWS)):
        legs, targets = random_legs(seed, 12, 3, bounds=True, stop_loss=0.1, take_profit=0.2)
        asked: dict[str, Any] = {"timeframe": "1d", "margin": how_of(how, legs)}
        compiled, plain = (
            portfolio_backtest(legs, targets, engine=engine, **asked)
            for engine in ("numba", "python")
        )
        for name in ("ledger", "fills", "trades", "bounds"):
            pd.testing.assert_frame_equal(
                getattr(plain, name), getattr(compiled, name), check_exact=True
            )


def test_steps_by_brackets_do_not_cut_ever_less():
    """Down to 1e-16 of the position, and twice as often, where a cap is met to the last bit."""
    for seed, often in ((41, 11), (44, 19)):
        legs, targets = random_legs(seed, 60, 3)
        for run_of in (plainly, portfolio_backtest):
            run = run_of(legs, targets.ffill(), timeframe="1d", margin=how_of("by brackets", legs))
            cut = run.fills[run.fills["reason"] == "liquidation"]
            assert len(cut) == often
            assert (
                cut["quantity"].abs() > 0.99e-6 * (cut["position"] - cut["quantity"]).abs()
            ).all()


def test_what_a_leg_asks_for_below_the_least_of_its_venue_is_not_sent_and_counted():
    """By hand: 0.001 of 10,000 is 10, less than 50; 0.01 is 100."""
    times = days(4)
    contract = PerpContract(symbol="A/USDT:USDT", min_notional=50.0)
    account = replace(perpetual("A/USDT:USDT", ONE, leverage=1.0), contract=contract)
    legs = {name: Leg(bars=flat_bars(100.0, times), account=own, costs=Costs())
            for name, own in {"A": account, "B": Account()}.items()}  # fmt: skip
    targets = pd.DataFrame({"A": [0.001, 0.001, 0.01, 0.01], "B": 0.001}, index=times)
    run = portfolio_backtest(legs, targets, timeframe="1d")
    assert run.legs["A"]["position"].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert run.legs["B"]["position"].iloc[1] == pytest.approx(0.1)
    told = [note for note in run.fidelity if note.startswith("A: orders: 1 of 2 decisions")]
    assert len(told) == 1
    assert "less than 50" in told[0]
