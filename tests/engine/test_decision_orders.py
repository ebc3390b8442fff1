"""Orders that a decision names beside its exposure: cases by hand, and what is refused."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.reference.plain_loops import plain_loops

from delever.engine.backtest import Backtest, backtest, rerun
from delever.engine.settings import Account
from delever.errors import InputError
from delever.research.what_if import parse_counterfactual, run_counterfactual, what_if
from delever.venues.brackets import bracket_table
from delever.venues.contract import PerpContract
from delever.venues.costs import Costs
from delever.venues.margin_formulas import FORMULAS
from delever.venues.rules import Fees, Rules

NAMES = ["open", "high", "low", "close"]
NONE = float("nan")


def days(*rows: tuple[float, float, float, float]) -> pd.DataFrame:
    """Bars of days; the first is flat, so that what it decides fills in the second."""
    index = pd.date_range("2021-01-01", periods=len(rows), tz="UTC", name="open_time")
    return pd.DataFrame(rows, index.as_unit("ns"), NAMES, dtype="float64")


def run(bars: pd.DataFrame, said: dict[str, Any], **more: Any) -> Backtest:
    """A run of the same decision at every close; lists say it close by close."""
    frame = pd.DataFrame({"exposure": 1.0, **said}, index=bars.index, dtype="float64")
    asked = partial(backtest, bars, frame, timeframe="1d", initial_equity=1_000.0, **more)
    done = asked()
    with plain_loops():
        pd.testing.assert_frame_equal(done.ledger, asked().ledger, rtol=1e-12, atol=1e-9)
    return done


def told(done: Backtest) -> list[tuple[int, float, float, str]]:
    """Day, price and exposure after it, and reason of each fill."""
    fills = done.fills
    return [
        (row.time.day, round(row.price, 9), round(row.exposure, 9), row.reason)
        for row in fills.itertuples()
    ]


FLAT = (100.0, 100.0, 100.0, 100.0)


def test_a_stop_stands_at_its_level_and_not_at_a_distance_from_the_entry() -> None:
    bars = days(FLAT, (90, 99, 85, 95), (95, 101, 94, 96))
    done = run(bars, {"exposure": -1.0, "stop_price": 100.0})
    assert told(done) == [(2, 90.0, -1.0, "target"), (3, 100.0, 0.0, "stop_loss")]
    assert done.equity.iloc[-1] == pytest.approx(1_000.0 * (1 - 10 / 90))
    gapped = run(
        days(FLAT, (90, 99, 85, 95), (104, 105, 94, 96)), {"exposure": -1.0, "stop_price": 100.0}
    )
    assert told(gapped)[-1] == (3, 104.0, 0.0, "stop_loss")


def test_the_nearer_of_a_level_and_a_distance_is_met() -> None:
    bars = days(FLAT, (100, 101, 80, 100))
    near = run(bars, {"stop_price": 95.0}, account=Account(stop_loss=0.1))
    assert told(near)[-1] == (2, 95.0, 0.0, "stop_loss")
    far = run(bars, {"stop_price": 85.0}, account=Account(stop_loss=0.1))
    assert told(far)[-1] == (2, 90.0, 0.0, "stop_loss")
    up = days(FLAT, (100, 130, 100, 100))
    assert told(run(up, {"take_profit_price": 110.0}))[-1] == (2, 110.0, 0.0, "take_profit")
    both = run(up, {"take_profit_price": 125.0}, account=Account(take_profit=0.2))
    assert told(both)[-1] == (2, 120.0, 0.0, "take_profit")


def test_at_a_gap_the_order_of_the_decision_before_rests_and_a_new_one_is_met_at_the_open() -> None:
    bars = days(FLAT, (100, 101, 99, 100), (88, 97, 87, 96))
    lowered = run(bars, {"stop_price": [90.0, 80.0, 80.0]})  # lowered at the second close
    assert told(lowered)[-1] == (3, 88.0, 0.0, "stop_loss")
    raised = run(bars, {"stop_price": [80.0, 95.0, 95.0]})  # the open has passed the new one
    assert told(raised)[-1] == (3, 88.0, 0.0, "stop_loss")
    taken = run(days(FLAT, FLAT, (100, 101, 99, 100)), {"take_profit_price": [120.0, 90.0, 90.0]})
    assert told(taken)[-1] == (3, 100.0, 0.0, "take_profit")


def test_an_entry_whose_open_has_passed_its_stop_is_not_sent_and_the_run_says_so() -> None:
    bars = days(FLAT, (94, 99, 93, 98), (98, 99, 97, 98))
    done = run(bars, {"stop_price": 95.0})
    assert told(done) == []
    assert "orders: 1 of 1 entry were not sent" in " ".join(done.fidelity)
    flip = run(
        days(FLAT, FLAT, (94, 99, 93, 98)),
        {"exposure": [-1.0, 1.0, 1.0], "stop_price": [120.0, 95.0, 95.0]},
    )
    assert told(flip) == [(2, 100.0, -1.0, "target"), (3, 94.0, 0.0, "target")]


def test_a_limit_order_rests_at_its_price_and_fills_when_traded_through() -> None:
    bars = days(FLAT, (100, 101, 95, 98), (98, 99, 94, 97))
    costs = Costs(taker_fee=0.001, maker_fee=-0.0001, slippage=0.01)
    done = run(bars, {"limit_price": 95.0}, costs=costs)
    assert told(done) == [(3, 95.0, 1.0, "limit")]  # the low of the second day only touched it
    fill = done.fills.iloc[0]
    assert fill["fee"] == pytest.approx(-0.0001 * fill["notional"])
    assert fill["slippage"] == 0.0
    gapped = run(days(FLAT, FLAT, (90, 92, 89, 91)), {"limit_price": 95.0})
    assert told(gapped) == [(3, 95.0, 1.0, "limit")]  # it lay in the book before the gap


def test_a_limit_that_the_open_has_passed_crosses_there_and_never_pays_more() -> None:
    bars = days(FLAT, (94, 96, 93, 95))
    costs = Costs(taker_fee=0.001, maker_fee=-0.0001, slippage=0.005)
    done = run(bars, {"limit_price": 95.0}, costs=costs)
    assert told(done) == [(2, 94.47, 1.0, "limit")]
    assert done.fills["fee"][0] == pytest.approx(0.001 * done.fills["notional"][0])
    capped = run(bars, {"limit_price": 94.1}, costs=costs)
    assert told(capped) == [(2, 94.1, 1.0, "limit")]


def test_a_limit_is_amended_withdrawn_and_left_when_the_exposure_changes() -> None:
    bars = days(FLAT, (100, 101, 97, 98), (98, 99, 93, 95), (95, 96, 90, 91))
    assert told(run(bars, {"limit_price": [96.0, 94.0, 94.0, 94.0]})) == [(3, 94.0, 1.0, "limit")]
    assert told(run(bars, {"limit_price": [96.0, NONE, NONE, NONE]})) == []
    left = run(bars, {"exposure": [1.0, 0.0, 0.0, 0.0], "limit_price": 94.0})
    assert told(left) == []


def test_a_ladder_scales_in_and_each_rung_reaches_its_exposure() -> None:
    bars = days(FLAT, (105, 106, 90, 95), (95, 101, 75, 100))
    ladder = {"exposure": 0.5, "limit_price": 100.0, "exposure_2": 1.0, "limit_price_2": 80.0}
    done = run(bars, ladder)
    assert told(done) == [(2, 100.0, 0.5, "limit"), (3, 80.0, 1.0, "limit")]
    # 5 units at 100; at 80 the account is worth 900 and holds 900 / 80 of them, all it has.
    assert done.fills["quantity"].tolist() == pytest.approx([5.0, 6.25])
    assert done.equity.iloc[-1] == pytest.approx(1_125.0)
    part = run(bars, {"exposure": 0.25, "exposure_2": 0.75, "limit_price_2": 92.0})
    assert told(part) == [(2, 105.0, 0.25, "target"), (2, 92.0, 0.75, "limit")]
    short = {"exposure": -0.5, "limit_price": 110.0, "exposure_2": -1.0, "limit_price_2": 120.0}
    rose = days(FLAT, (100, 125, 99, 112))
    assert told(run(rose, short)) == [(2, 110.0, -0.5, "limit"), (2, 120.0, -1.0, "limit")]


def test_what_is_stopped_on_the_way_does_not_reach_the_next_rung() -> None:
    bars = days(FLAT, (100, 101, 70, 75))
    ladder = {"exposure": 0.5, "limit_price": 95.0, "exposure_2": 1.0, "limit_price_2": 80.0}
    done = run(bars, ladder, account=Account(stop_loss=0.1))  # at 85.5, before 80
    assert told(done) == [(2, 95.0, 0.5, "limit"), (2, 85.5, 0.0, "stop_loss")]
    below = run(bars, {**ladder, "stop_price": 78.0})
    assert told(below)[-1] == (2, 78.0, 0.0, "stop_loss")
    assert len(below.fills) == 3


def test_a_rung_and_a_target_in_one_bar_are_ambiguous_and_bounded_by_their_orders() -> None:
    bars = days(FLAT, (100, 101, 99, 100), (100, 112, 88, 90))
    said = {"exposure": 0.5, "exposure_2": 1.0, "limit_price_2": 90.0, "take_profit_price": 110.0}
    done = run(bars, said, account=Account(bounds=True))
    # Against the account the target comes first, with 5 units from 100 to 110.
    assert told(done) == [(2, 100.0, 0.5, "target"), (3, 110.0, 0.0, "take_profit")]
    assert done.ambiguous_bars == 1
    assert done.equity.iloc[-1] == pytest.approx(1_050.0)
    # At best the rung is filled before: 950 at 90, all of it held, which rises to 110.
    assert done.bounds is not None
    assert done.bounds.iloc[-1].tolist() == pytest.approx([1_050.0, 950.0 * 110 / 90])
    halves = days(FLAT, FLAT, (100, 101, 99, 100), FLAT, (100, 112, 100, 110), (110, 110, 88, 90))
    halves.index = pd.date_range("2021-01-01", periods=6, freq="12h", tz="UTC", name="open_time")
    seen = run(bars, said, account=Account(detail=halves))
    assert told(seen)[-1] == (3, 110.0, 0.0, "take_profit")
    assert seen.ambiguous_bars == 0


def test_a_time_stop_leaves_at_the_open_after_so_many_closes() -> None:
    bars = days(*[FLAT] * 3, (100, 101, 94, 100), *[FLAT] * 4)
    assert told(run(bars, {"time_stop": 2.0})) == [
        (2, 100.0, 1.0, "target"), (4, 100.0, 0.0, "time_stop")
    ]  # fmt: skip
    late = run(bars, {"time_stop": 2.0, "limit_price": 95.0})  # counted from the fill
    assert told(late) == [(4, 95.0, 1.0, "limit"), (6, 100.0, 0.0, "time_stop")]


CONTRACT = PerpContract(symbol="BTC/USDT:USDT", tick=0.5)


def margin(**more: Any) -> Account:
    rules = Rules(
        venue="test",
        valid_from=dt.date(2020, 1, 1),
        contract=more.pop("contract", CONTRACT),
        formula=FORMULAS["flat_rate"],
        brackets=bracket_table([(20_000.0, 0.005, 10.0), (1e9, 0.005, 4.0)], progressive=False),
        fees=Fees(maker=0.0, taker=0.0, liquidation=0.0),
        funding_hours=(8,),
        notes=(),
    )
    return Account(
        contract=rules.contract, rules=rules, funding_policy="missing-is-zero", **more
    )  # fmt: skip


def test_each_decision_sets_its_leverage_within_the_accounts() -> None:
    bars = days(*[FLAT] * 4)
    done = run(bars, {"leverage": [2.0, 5.0, NONE, 2.0]}, account=margin(leverage=8.0))
    # (E - E / leverage) / (1 - 0.005), a tick up
    expected = [np.nan, 50.5, 80.5, 88.0]
    np.testing.assert_allclose(done.ledger["liquidation_price"], expected)


def test_a_liquidation_on_the_way_comes_before_the_next_rung() -> None:
    bars = days(FLAT, (100, 101, 60, 70))
    said = {"exposure": 4.0, "exposure_2": 5.0, "limit_price_2": 80.0}
    done = run(bars, said, account=margin(leverage=5.0))  # 80.5 is nearer than 80
    assert told(done) == [(2, 100.0, 4.0, "target"), (2, 80.5, 0.0, "liquidation")]


def test_orders_stand_on_the_grid_a_limit_never_worse_than_it_was_said() -> None:
    bars = days(FLAT, (100, 101, 90, 92))
    done = run(bars, {"limit_price": 95.3, "stop_price": 91.3}, account=margin())
    assert told(done) == [(2, 95.0, 1.0, "limit"), (2, 91.0, 0.0, "stop_loss")]


def test_levels_of_an_inverse_contract_are_quoted_prices() -> None:
    coin = PerpContract(symbol="BTC/USD:BTC", kind="inverse")
    bars = days(FLAT, (100, 101, 99, 100), (100, 101, 75, 90))
    said = {"exposure": 0.5, "exposure_2": 1.0, "limit_price_2": 95.0, "stop_price": 80.0}
    done = run(bars, said, account=margin(contract=coin, leverage=2.0))
    assert [(day, price, reason) for day, price, _, reason in told(done)] == [
        (2, 100.0, "target"), (3, 95.0, "limit"), (3, 80.0, "stop_loss"),
    ]  # fmt: skip
    # 10 coins: 500 dollars at 100, to 1 x (10 - 500 (1/95 - 1/100)) 95 = 925 at 95.
    held = 10.0 - 500.0 * (1 / 95 - 1 / 100)
    assert done.fills["quantity"].abs().tolist() == pytest.approx(
        [500.0, held * 95 - 500.0, held * 95]
    )


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"stop_price": -1.0}, "bar 2021-01-01 00:00: stop_price must be a price.*got .* -1"),
        ({"time_stop": 1.5}, "time_stop must be a whole number of bars, 1 or more"),
        ({"leverage": 0.5}, "leverage must be 1 or more"),
        ({"leverage": 3.0}, "leverage of a decision must lie within .* 2; got 3"),
        ({"exposure_2": 1.5}, "needs both columns, exposure_2 and limit_price_2"),
        ({"exposure_2": 0.5, "limit_price_2": 90.0}, "a rung must ask for more than the one"),
        ({"limit_price": 95.0, "exposure_2": 1.5, "limit_price_2": 97.0}, "must lie beyond"),
        ({"exposure_2": 2.5, "limit_price_2": 90.0}, "exposure_2 in the bar of .* is 2.5"),
        ({"leverage": 1.0, "exposure": 1.5}, "not go beyond the leverage in force"),
        ({"limit_price": 95.0, "stop_price": 96.0}, "on the losing side of limit_price"),
        ({"limit_price": 95.0, "take_profit_price": 94.0}, "on the winning side of limit"),
    ],
)  # fmt: skip
def test_orders_that_cannot_be_are_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(days(FLAT, FLAT), said, account=margin(leverage=2.0))


def test_what_was_decided_before_the_first_bar_is_checked_as_the_rest() -> None:
    first = pd.Series({"exposure": 1.0, "stop_price": -5.0})
    message = "before the first bar 2021-01-01 00:00: stop_price must be a price.*got .* -5"
    with pytest.raises(InputError, match=message):
        run(days(FLAT, FLAT), {"stop_price": 90.0}, account=margin(), initial_target=first)


def test_a_limit_of_the_account_and_one_of_the_strategy_are_one_too_many() -> None:
    with pytest.raises(InputError, match="limit_offset says where entries rest, and so does"):
        run(days(FLAT, FLAT), {"limit_price": 95.0}, account=Account(limit_offset=0.01))


def test_what_reruns_a_run_carries_its_orders() -> None:
    bars = days(FLAT, (100, 101, 99, 100), (100, 101, 80, 90), (90, 95, 88, 90))
    done = run(
        bars, {"stop_price": 90.0, "exposure": 1.0, "leverage": 1.0}, account=margin(leverage=2.0)
    )
    assert rerun(done).equity.tolist() == done.equity.tolist()
    late, dear, higher = (
        run_counterfactual(done, change)
        for change in map(parse_counterfactual, ("1 bar later", "costs x2", "leverage 4x"))
    )
    assert told(late) == [(3, 100.0, 1.0, "target"), (3, 90.0, 0.0, "stop_loss")]
    assert told(dear) == told(done)
    assert higher.account is not None
    assert higher.account.leverage == 4.0
    assert told(higher) == told(done)
    assert not what_if(done).refused
