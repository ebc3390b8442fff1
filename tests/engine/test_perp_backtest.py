"""What a run of a margin account means, on markets small enough to follow by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.engine.perp_market import market

from delever.engine.backtest import Backtest, backtest, rerun
from delever.engine.settings import Account, FundingSeries
from delever.errors import DeleverError
from delever.venues.brackets import bracket_table
from delever.venues.contract import PerpContract
from delever.venues.costs import Borrow, Costs
from delever.venues.margin_formulas import FORMULAS
from delever.venues.rules import Fees, Rules
from delever.venues.slippage import FixedSlippage, Impact, StressSlippage, VolatilitySlippage

CONTRACT = PerpContract(symbol="BTC/USDT:USDT")
engines = pytest.mark.parametrize("engine", ["numba", "plain"], indirect=True)


def rules(
    rows: Sequence[tuple[float, float, float]] = ((1e12, 0.01, 50.0),),
    *,
    since: dt.date = dt.date(2020, 1, 1),
    liquidation: float = 0.0,
) -> Rules:
    return Rules(
        venue="test",
        valid_from=since,
        contract=CONTRACT,
        formula=FORMULAS["binance_linear"],
        brackets=bracket_table(rows, progressive=True),
        fees=Fees(maker=0.0, taker=0.0, liquidation=liquidation),
        funding_hours=(8,),
        notes=(),
    )


def perp(**options: Any) -> Account:
    given = {"contract": CONTRACT, "rules": rules(), "funding_policy": "missing-is-zero"}
    return Account(**(given | options))


def run(bars: pd.DataFrame, targets: Sequence[float], account: Account, **more: Any) -> Backtest:
    options: dict[str, Any] = {"timeframe": "1d", "initial_equity": 1000.0, **more}
    return backtest(bars, pd.Series(targets, bars.index, dtype=float), account=account, **options)


def stamps(*rows: tuple[str, float]) -> pd.Series:
    return pd.Series([rate for _, rate in rows], pd.DatetimeIndex([t for t, _ in rows], tz="UTC"))


STILL = (100, 100, 100, 100)
DAY = pd.Timedelta(days=1)


@engines
def test_an_isolated_long_loses_its_margin_at_the_liquidation_price(engine: Any) -> None:
    # 5x with half the equity: 25 units at 100, margin 500. Balance 500 + 25 (p - 100) meets
    # 0.01 * 25 p at p = 2000 / 24.75 = 80.80...; the fee there is 0.005 * 25 p.
    bars = market(STILL, (100, 101, 79, 90), (90, 90, 90, 90))
    account = perp(leverage=5.0, rules=rules(liquidation=0.005))
    done = run(bars, [2.5, 2.5, 2.5], account, engine=engine)
    price = 2000 / 24.75
    assert done.equity.tolist() == pytest.approx([1000, 500, 500])
    forced = done.fills.iloc[-1]
    assert (forced["price"], forced["reason"]) == (pytest.approx(price), "liquidation")
    assert forced["fee"] == pytest.approx(0.005 * 25 * price)
    assert done.ledger["liquidation"].iloc[1] == pytest.approx(-(0.01 - 0.005) * 25 * price)
    assert done.ledger["price_pnl"].iloc[1] == pytest.approx(25 * (price - 100))
    assert done.trades["status"].tolist() == ["liquidated"]
    assert done.trades["net_pnl"].tolist() == pytest.approx([-500])


@engines
def test_a_cross_account_stands_behind_its_position_with_everything(engine: Any) -> None:
    bars = market(STILL, (100, 101, 79, 90), (90, 90, 59, 90))
    done = run(bars, [2.5, 2.5, 2.5], perp(leverage=5.0, margin_mode="cross"), engine=engine)
    assert done.equity.tolist() == pytest.approx([1000, 750, 0])
    # 1000 + 25 (p - 100) = 0.25 p
    assert done.fills["price"].iloc[-1] == pytest.approx(1500 / 24.75)
    assert done.ledger["liquidation_price"].iloc[1] == pytest.approx(1500 / 24.75)


@engines
def test_a_gap_below_bankruptcy_costs_the_insurance_fund(engine: Any) -> None:
    bars = market(STILL, STILL, (70, 75, 60, 75), STILL)
    done = run(bars, [5, 5, 5, 5], perp(leverage=5.0), engine=engine)
    assert done.equity.tolist() == pytest.approx([1000, 1000, 0, 0])
    assert done.ledger["liquidation"].tolist() == pytest.approx([0, 0, 500, 0])  # 50 * 30 - 1000
    assert done.ledger["price_pnl"].tolist() == pytest.approx([0, 0, -1500, 0])
    assert done.fills["price"].iloc[-1] == 70.0


@engines
def test_a_short_without_leverage_is_liquidated_too(engine: Any) -> None:
    bars = market(STILL, (100, 205, 100, 150))
    done = run(bars, [-1, -1], perp(), engine=engine)
    assert done.fills["price"].iloc[-1] == pytest.approx(2000 / 10.1)  # 1000 + 10(100 - p) = 0.1 p
    assert done.equity.iloc[-1] == 0.0


@engines
def test_brackets_are_solved_again_where_the_price_leads(engine: Any) -> None:
    # Short 20 units at 100: 2,000 at entry lies in the first bracket, at the trigger in the
    # second: 400 + 20 (100 - p) = 0.05 * 20 p - 92, so p = 2492 / 21.
    table = rules([(2_300, 0.01, 50.0), (1e9, 0.05, 10.0)])
    bars = market(STILL, (100, 130, 100, 100))
    done = run(bars, [-2, -2], perp(leverage=5.0, rules=table), engine=engine)
    assert done.fills["price"].iloc[-1] == pytest.approx(2492 / 21)


@engines
def test_funding_at_the_open_is_settled_on_the_position_carried_in(engine: Any) -> None:
    series = FundingSeries.of(
        stamps(("2021-01-01 00:00:00.004", 0.01), ("2021-01-02", 0.01), ("2021-01-03", 0.02))
    )
    bars = market(STILL, (100, 110, 100, 110), (120, 120, 120, 120))
    account = perp(leverage=2.0, funding=series, funding_policy="required")
    done = run(bars, [2, 2, 0], account, engine=engine)
    # 20 units bought at 100 on the 2nd, after that day's stamp; at the 3rd they pay 2 % of 120.
    assert done.ledger["funding"].tolist() == pytest.approx([0, 0, -20 * 120 * 0.02])
    assert done.equity.tolist() == pytest.approx([1000, 1200, 1400 - 48])
    assert done.trades["funding"].tolist() == pytest.approx([-48])
    short = run(bars, [-2, -2, 0], account, engine=engine)
    assert short.ledger["funding"].tolist() == pytest.approx([0, 0, 48])


@engines
def test_funding_inside_a_bar_that_ends_the_position_is_read_against_it(engine: Any) -> None:
    series = FundingSeries.of(
        stamps(*((f"2021-01-{day:02d} {hour:02d}:00", rate) for day in (1, 2, 3)
                 for hour, rate in ((0, 0.0), (8, 0.01), (16, -0.02))))
    )  # fmt: skip
    bars = market(STILL, (100, 111, 100, 105), STILL)
    account = perp(leverage=2.0, funding=series, take_profit=0.1, bounds=True)
    done = run(bars, [2, 2, 2], account, engine=engine)
    # 20 units sold at 110; +1 % of 100 was paid at 08:00, or not; -2 % at 16:00 received, or not.
    assert done.ledger["funding"].tolist() == pytest.approx([0, -20, 0])
    assert done.equity.iloc[-1] == pytest.approx(1180)
    assert done.ambiguous_bars == 1
    assert done.bounds is not None
    assert done.bounds["worst"].iloc[-1] == pytest.approx(1200 - 0.01 * 20 * 111)
    # Best: marked low where it pays, high where it receives, and held until both.
    assert done.bounds["best"].iloc[-1] == pytest.approx(1200 - 20 * 1.0 + 20 * 2.22)
    kept = run(bars, [2, 2, 2], replace(account, take_profit=None), engine=engine)
    assert kept.ledger["funding"].tolist() == pytest.approx([0, 20, 20])
    assert kept.ambiguous_bars == 0


@engines
def test_a_stop_is_checked_on_the_entry_bar_and_filled_with_slippage(engine: Any) -> None:
    bars = market(STILL, (100, 104, 94, 103), STILL)
    costs = Costs(slippage=0.001)
    done = run(bars, [1, 1, 1], perp(stop_loss=0.05), costs=costs, engine=engine)
    stop = 100 * 1.001 * 0.95
    assert done.fills["reason"].tolist() == ["target", "stop_loss"]
    assert done.fills["price"].tolist() == pytest.approx([100.1, stop * 0.999])
    assert done.fills["time"].nunique() == 1
    assert done.ledger["position"].tolist() == [0, 0, 0]  # not entered again: no new target


@engines
@pytest.mark.parametrize(
    ("options", "bars", "price", "reason"),
    [
        ({"stop_loss": 0.05}, [(92, 93, 90, 91)], 92, "stop_loss"),  # gapped
        ({"take_profit": 0.05}, [(107, 108, 106, 107)], 107, "take_profit"),
        ({"take_profit": 0.05}, [(100, 108, 100, 107)], 105, "take_profit"),
        ({"stop_loss": 0.05, "take_profit": 0.05}, [(100, 106, 94, 105)], 95, "stop_loss"),
        (
            {"trailing_stop": 0.1},
            [(100, 140, 100, 120), (120, 121, 107, 115)],
            108,  # of the best close, 120; neither of the entry at 100 nor of the high of 140
            "trailing_stop",
        ),
        ({"stop_loss": 0.05, "trailing_stop": 0.1}, [(100, 100, 94, 99)], 95, "stop_loss"),
        ({"stop_loss": 0.5, "leverage": 5.0}, [(100, 100, 70, 99)], 80 / 0.99, "liquidation"),
        ({"stop_loss": 0.05, "leverage": 5.0}, [(100, 100, 70, 99)], 95, "stop_loss"),
    ],
)
def test_exits(options: Any, bars: Any, price: float, reason: str, engine: Any) -> None:
    account = perp(**options)
    done = run(
        market(STILL, STILL, *bars), [account.leverage] * (2 + len(bars)), account, engine=engine
    )
    assert done.fills["price"].iloc[-1] == pytest.approx(price)
    assert done.fills["reason"].iloc[-1] == reason
    assert done.trades["exit_reason"].tolist() == [reason]
    assert done.trades["bars"].tolist() == [len(bars) + 1]


@engines
@pytest.mark.parametrize(
    ("side", "closes", "price"),
    [
        (1, [100, 200, 400, 600, 589, 541, 539], 540),  # 10 % of 600; of the entry it were 590
        (-1, [100, 50, 25, 27.4, 27.6], 27.5),
        (-1, [100, 101, 111], 110),  # never better than the entry
    ],
)
def test_a_trailing_stop_is_a_fraction_of_the_best_price(
    side: int, closes: list[float], price: float, engine: Any
) -> None:
    opens = [100.0, *closes[:-1]]
    path = [(o, max(o, c), min(o, c), c) for o, c in zip(opens, closes, strict=True)]
    account = perp(trailing_stop=0.1)
    done = run(market(STILL, *path), [side] * (len(path) + 1), account, engine=engine)
    assert done.fills["reason"].tolist() == ["target", "trailing_stop"]
    assert done.fills["price"].tolist() == pytest.approx([100, price])
    assert "trailing stop: 0.1 of the best price since entry, by closes" in done.fidelity


@engines
def test_a_trailing_stop_follows_the_detail_inside_a_bar(engine: Any) -> None:
    bars = market(STILL, (100, 130, 100, 112), (112, 118, 112, 115))
    steps = [100, 130, 125, 116, 112], [112, 118, 116, 115, 115]
    hours = pd.date_range(bars.index[1], periods=8, freq="6h", name="open_time")
    rows = [(o, max(o, c), min(o, c), c) for part in steps for o, c in pairwise(part)]
    detail = pd.DataFrame(rows, hours, ["open", "high", "low", "close"], dtype=float)
    whole = run(bars, [1] * 3, perp(trailing_stop=0.1), engine=engine)
    assert len(whole.fills) == 1  # 10 % of 112, and of 115, were never met
    walked = run(bars, [1] * 3, perp(trailing_stop=0.1, detail=detail), engine=engine)
    assert walked.fills["price"].tolist() == pytest.approx([100, 117])  # of 130 at 06:00
    assert walked.fills["detail_time"].iloc[-1] == hours[2]


def test_bounds_tell_a_stop_and_a_target_in_one_bar_apart() -> None:
    bars = market(STILL, (100, 106, 94, 100), STILL)
    done = run(bars, [1, 1, 1], perp(stop_loss=0.05, take_profit=0.05, bounds=True))
    assert done.bounds is not None
    assert done.bounds["worst"].tolist() == pytest.approx([1000, 950, 950])
    assert done.bounds["best"].tolist() == pytest.approx([1000, 1050, 1050])
    assert done.equity.tolist() == pytest.approx([1000, 950, 950])
    assert (done.ambiguous_bars, done.ledger["ambiguous"].tolist()) == (1, [False, True, False])


@engines
def test_finer_bars_say_what_came_first(engine: Any) -> None:
    bars = market(STILL, (100, 106, 94, 100), STILL)
    fine = market(
        STILL, STILL, (100, 106, 100, 101), (101, 101, 94, 100), STILL, STILL, timeframe="12h"
    )
    account = perp(stop_loss=0.05, take_profit=0.05, detail=fine)
    done = run(bars, [1, 1, 1], account, engine=engine)
    assert done.equity.tolist() == pytest.approx([1000, 1050, 1050])
    assert done.ambiguous_bars == 0
    assert "resolution: 12h bars inside 1d bars" in done.fidelity
    assert done.fills["detail_time"].tolist() == [fine.index[2], fine.index[2]]
    partly = run(bars, [1, 1, 1], replace(account, detail=fine.iloc[:3]), engine=engine)
    assert partly.equity.tolist() == pytest.approx([1000, 950, 950])
    assert any("2 of 3 bars had no whole set" in note for note in partly.fidelity)


@engines
def test_a_bar_that_its_detail_contradicts_is_unseen_inside(engine: Any) -> None:
    # 150 days at 100; inside the second, hours fall to 80 and return, which daily bars hide.
    days = market(*[STILL] * 150).assign(low=100.0)
    days.iloc[1, 2] = 80.0
    halves = market(*[STILL] * 300, timeframe="12h")
    halves.iloc[2, 2] = 80.0
    account = perp(detail=halves, stop_loss=0.1)
    agreed = run(days, [1] * 150, account, engine=engine)
    assert agreed.fills["detail_time"].iloc[-1] == halves.index[2]
    halves.iloc[3, 1] = 100.07  # the day saw no such price
    off = run(days, [1] * 150, replace(account, detail=halves), engine=engine)
    assert off.equity.tolist() == agreed.equity.tolist()
    assert (
        "1 of 150 bars (first 2021-01-02 00:00) had 12h bars that do not add up to them; their "
        "inside was not seen" in off.fidelity
    )
    halves.iloc[[11, 21], 1] = 100.07
    with pytest.raises(DeleverError, match=r"all but 0.01 of them; 3 of 150 disagree"):
        run(days, [1] * 150, replace(account, detail=halves), engine=engine)


@engines
def test_a_limit_order_fills_only_when_traded_through(engine: Any) -> None:
    account = perp(limit_offset=0.02)
    costs = Costs(maker_fee=0.01, taker_fee=0.05, slippage=0.1)
    touched = market(STILL, (100, 101, 98, 100), (100, 100, 97.9, 99), STILL)
    done = run(touched, [1, 1, 1, 1], account, costs=costs, engine=engine)
    assert done.fills["time"].tolist() == [touched.index[2]]
    assert done.fills["price"].tolist() == [98.0]
    assert done.fills["reason"].tolist() == ["limit"]
    assert done.fills["fee"].iloc[0] == pytest.approx(1000 * 0.01 / 1.01)
    gone = run(touched, [1, 0, 0, 0], account, costs=costs, engine=engine)
    assert gone.fills.empty  # asked for at 100, withdrawn before 98 traded


@engines
def test_liquidation_looks_at_the_mark_and_stops_at_the_last_price(engine: Any) -> None:
    bars = market(STILL, (100, 100, 70, 99), STILL)
    mark = market(STILL, (100, 100, 95, 99), STILL)
    account = perp(leverage=5.0, mark=mark)
    spared = run(bars, [5, 5, 5], account, engine=engine)
    assert spared.equity.tolist() == pytest.approx([1000, 950, 1000])
    hit = run(mark, [5, 5, 5], replace(account, mark=bars), engine=engine)
    assert hit.fills["price"].iloc[-1] == pytest.approx(80 / 0.99)
    assert "mark: the mark price" in hit.fidelity


@engines
def test_a_spot_short_pays_for_what_it_borrows(engine: Any) -> None:
    bars = market(STILL, STILL, STILL)
    done = run(bars, [-1, -1, 0], None, costs=Borrow(rate=0.365), engine=engine)
    # 10 units at 100 for a day at a thousandth a day; then 10 units again
    assert done.ledger["borrow"].tolist() == pytest.approx([0, 1, 1])
    assert done.equity.tolist() == pytest.approx([1000, 999, 998])
    assert done.trades["borrow"].tolist() == pytest.approx([2])
    assert done.trades["net_pnl"].tolist() == pytest.approx([-2])


@engines
def test_slippage_follows_volatility_size_and_stress_known_before_the_bar(engine: Any) -> None:
    bars = market((100, 110, 100, 100), STILL, STILL).assign(volume=[1000.0, 500.0, 1.0])
    parts = (FixedSlippage(share=0.001), VolatilitySlippage(share=0.1), Impact(coefficient=0.5))
    model = StressSlippage(models=parts, in_stress=2.0, detector=lambda close: close < 101.0)
    done = run(bars, [1, 1, 1], perp(), costs=Costs() + model, engine=engine)
    sigma = np.log(1.1) / (2 * np.sqrt(np.log(2)))  # Parkinson's, of the first bar
    fraction = 2 * (0.001 + 0.1 * sigma + 0.5 * sigma * np.sqrt(1000 / (1000 * 100)))
    assert done.fills["price"].iloc[0] == pytest.approx(100 * (1 + fraction))


@engines
def test_only_a_fill_that_leans_on_an_empty_bar_takes_the_volume_before(engine: Any) -> None:
    bars = market((100, 110, 100, 100), *[STILL] * 4).assign(volume=[1000.0, 0.0, 4.0, 0.0, 5.0])
    model = Impact(coefficient=0.5, bars=1)
    elsewhere = run(bars, [1, 1, 1, 1, 1], perp(), costs=model, engine=engine)
    whole = bars.assign(volume=[1000.0, 1.0, 4.0, 1.0, 5.0])
    assert elsewhere.equity.tolist() == run(whole, [1] * 5, perp(), costs=model).equity.tolist()
    assert not any("impact" in note for note in elsewhere.fidelity)
    before = market((100, 110, 100, 100)).shift(freq=-DAY).assign(volume=1000.0)
    first = bars.assign(volume=0.0, high=110.0)
    leans = run(first, [1, 0, 0, 0, 0], perp(), costs=model, engine=engine, earlier=before)
    assert (
        "impact: nothing was traded in the bar before 2 fills of 2; the last volume above 0 stood "
        "for it" in leans.fidelity
    )
    spot = run(first, [1, 0, 0, 0, 0], None, costs=model, engine=engine, earlier=before)
    assert spot.fidelity[0].startswith("impact: nothing was traded in the bar before 2 fills of 2")
    with pytest.raises(DeleverError, match="bar of 2021-01-02 00:00 needs a bar with volume above"):
        run(first, [1, 0, 0, 0, 0], perp(), costs=model, engine=engine)


def test_fees_come_from_the_rules_of_the_day_unless_costs_are_given() -> None:
    early, late = rules(), rules(since=dt.date(2021, 1, 3))
    early = replace(early, fees=Fees(maker=0.0, taker=0.001, liquidation=0.0))
    late = replace(late, fees=Fees(maker=0.0, taker=0.002, liquidation=0.0))
    bars = market(STILL, STILL, STILL)
    account = perp(rules=[late, early])
    done = run(bars, [1, 0, 0], account)
    rate = done.fills["fee"] / done.fills["notional"]
    assert rate.tolist() == pytest.approx([0.001, 0.002])
    doubled = rerun(done, costs=done.costs.stressed(2.0))
    assert (doubled.fills["fee"] / doubled.fills["notional"]).tolist() == pytest.approx(
        [0.002, 0.004]
    )
    own = run(bars, [1, 0, 0], account, costs=Costs(taker_fee=0.01))
    assert (own.fills["fee"] / own.fills["notional"]).tolist() == pytest.approx([0.01, 0.01])


def test_counterfactuals_change_one_thing() -> None:
    series = FundingSeries.of(stamps(*((f"2021-01-{day:02d}", 0.01) for day in (1, 2, 3))))
    bars = market(STILL, (100, 100, 85, 100), STILL)
    done = run(bars, [3, 3, 3], perp(leverage=5.0, funding=series))
    assert done.equity.tolist() == pytest.approx([1000, 1000, 970])
    unpaid = replace(done.account, funding=None)
    assert rerun(done, account=unpaid).equity.tolist() == pytest.approx([1000, 1000, 1000])
    # At 10x the margin is 300: 30 (p - 100) + 300 = 0.3 p liquidates at 90.9.
    higher = rerun(done, account=replace(done.account, leverage=10.0))
    assert higher.equity.tolist() == pytest.approx([1000, 700, 700])
    with pytest.raises(DeleverError, match="windows and runs read back"):
        rerun(done.window(bars.index[0], bars.index[-1]), account=unpaid)


def test_a_window_keeps_trades_stopped_in_its_first_bar() -> None:
    bars = market(STILL, STILL, (100, 100, 90, 95), STILL)
    done = run(bars, [1, 1, 1, 1], perp(stop_loss=0.05))
    part = done.window(bars.index[2], bars.index[3] + pd.Timedelta(days=1))
    assert part.trades["exit_reason"].tolist() == ["stop_loss"]
    assert part.trades["carried_in"].tolist() == [True]
    assert (part.ambiguous_bars, part.request) == (0, None)


def test_lots_round_towards_flat() -> None:
    account = perp(contract=replace(CONTRACT, lot=3.0), leverage=2.0)
    done = run(market(STILL, STILL, STILL, STILL), [1, -1, 0, 0], account)
    assert done.fills["position"].tolist() == [9.0, -9.0, 0.0]


GOOD = market(STILL, STILL, STILL)


@pytest.mark.parametrize(
    ("options", "targets", "message"),
    [
        ({"leverage": 60.0}, [1, 1, 1], r"bar of 2021-01-02 .* leverage must be at most 50"),
        ({"leverage": 3.0}, [4, 1, 1], r"must lie in \[-3, 3\]: the leverage is 3"),
        ({"funding_policy": "required"}, [1, 1, 1], "funding must cover the run"),
        (
            {
                "funding_policy": "required",
                "funding": FundingSeries.of(stamps(("2021-01-01", 0.0), ("2021-01-01 08:00", 0.0))),
            },
            [1, 1, 1],
            "funding must cover the run .* 1 stretch is missing",
        ),
        ({"mark": GOOD.set_axis(GOOD.index + 30 * DAY)}, [1, 1, 1], "mark must have a price"),
        ({"mark": GOOD.iloc[:2]}, [1, 1, 1], r"2021-01-03 00:00 has none \(1 of 3"),
        (
            {"detail": market(*[STILL] * 4, timeframe="12h").shift(freq=30 * DAY)},
            [1, 1, 1],
            "detail must fill at least one",
        ),
        (
            {"detail": market(STILL, (100, 105, 100, 100), timeframe="12h")},
            [1, 1, 1],
            "detail must add up to its bars",
        ),
        ({"detail": GOOD}, [1, 1, 1], "divides 1d; got bars of 1d"),
        ({"rules": rules(since=dt.date(2021, 1, 2))}, [1, 1, 1], "brackets missing for the date"),
        ({"rules": ()}, [1, 1, 1], "brackets missing for the date"),
        ({"rules": rules([(500, 0.01, 5.0)])}, [1, 1, 1], "at most 500"),
    ],
)
def test_what_cannot_be_simulated_is_refused(options: Any, targets: Any, message: str) -> None:
    with pytest.raises(DeleverError, match=message):
        run(GOOD, targets, perp(**options))


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        (Borrow(rate=0.1), "borrow is for spot shorts"),
        (Impact(coefficient=1.0), "needs a column volume"),
    ],
)
def test_costs_that_cannot_be_are_refused(costs: Any, message: str) -> None:
    with pytest.raises(DeleverError, match=message):
        run(GOOD, [1, 1, 1], perp(), costs=costs)


def test_slippage_of_a_first_bar_needs_bars_before_it() -> None:
    model = VolatilitySlippage(share=1.0)
    assert len(run(GOOD, [1, 1, 1], perp(), costs=model).fills) == 1  # flat in the first bar
    with pytest.raises(DeleverError, match="the bar of 2021-01-01 00:00 needs bars before it"):
        run(GOOD, [1, 1, 1], perp(), costs=model, initial_target=1.0)
    before = GOOD.set_axis(GOOD.index - 30 * DAY)
    done = run(GOOD, [1, 1, 1], perp(), costs=model, initial_target=1.0, earlier=before)
    assert done.fills["time"].iloc[0] == GOOD.index[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"leverage": 0.5}, "leverage must be 1 or more"),
        ({"stop_loss": 0.0}, "stop_loss must be a fraction"),
        ({"take_profit": float("nan")}, "take_profit must be a fraction"),
        ({"limit_offset": 1.0}, "limit_offset must be a fraction"),
        ({"margin_mode": "portfolio"}, "margin_mode must be"),
        ({"rules": None}, "rules .* must be given"),
        ({"contract": None}, "rules needs a contract"),
        ({"contract": None, "rules": None, "leverage": 2.0}, "leverage 2 needs a contract"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(options: Any, message: str) -> None:
    with pytest.raises(DeleverError, match=message):
        perp(**options)


def test_missing_funding_is_told_when_it_is_allowed() -> None:
    done = run(GOOD, [1, 1, 1], perp())
    assert any("missing stamps paid nothing" in note for note in done.fidelity)
    assert "mark: none given; the last price stood for it" in done.fidelity


def test_funding_series_must_be_usable() -> None:
    with pytest.raises(DeleverError, match="one rate per stamp"):
        FundingSeries(stamps=np.array([1, 2]), rates=np.array([0.1]))
    with pytest.raises(DeleverError, match="must increase"):
        FundingSeries.of(stamps(("2021-01-02", 0.1), ("2021-01-01", 0.1)))
    with pytest.raises(DeleverError, match="time zone"):
        FundingSeries.of(pd.Series([0.1], pd.DatetimeIndex(["2021-01-01"])))


def test_what_whole_lots_leave_of_a_decision_is_said() -> None:
    # 1,000 at 100: targets of 0.2, 0.5 and 0.9 are 2, 5 and 9 units; whole lots of 3 make 0, 3, 9.
    account = perp(contract=replace(CONTRACT, lot=3.0))
    done = run(market(*[STILL] * 5), [0.2, 0.5, 0.9, 0.0, 0.0], account)
    assert done.ledger["position"].tolist() == [0.0, 0.0, 3.0, 9.0, 0.0]
    assert (
        "lots: of 3 decisions to hold something in whole lots of 3, 1 were below one and held "
        "nothing and 1 lost more than 0.05 of their size; the account is too small for them"
        in done.fidelity
    )
    whole = run(market(*[STILL] * 3), [0.9, 0.0, 0.0], account)
    assert not any(note.startswith("lots") for note in whole.fidelity)


def test_orders_below_the_least_of_a_venue_are_not_sent_and_said() -> None:
    account = perp(contract=replace(CONTRACT, min_notional=400.0))
    done = run(market(*[STILL] * 5), [0.3, 0.9, 0.6, 0.0, 0.0], account)
    # 300 to open are not sent; 900, then 300 less and 600 less: what reduces is taken at any size.
    assert done.ledger["position"].tolist() == [0.0, 0.0, 9.0, 6.0, 0.0]
    assert (
        "orders: 1 of 2 decisions to open or add asked for less than 400, the least that "
        "BTC/USDT:USDT takes, and were not sent" in done.fidelity
    )
