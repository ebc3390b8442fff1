"""The loop of the margin account: its two forms, the exact ledger, and what holds in any market."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.perp_market import (
    CASH,
    TABLES,
    Case,
    cases,
    column,
    made,
    order_numbers,
    rules_of,
)
from tests.reference.account_plain import run_plain

from delever.engine.kernel import run_account
from delever.engine.ledger import FILL, LEDGER, REASONS
from delever.engine.steps import MarketArrays, Said, TermArrays
from delever.venues.margin import liquidation_price
from delever.venues.margin_formulas import MarginLines

many = settings(max_examples=500)


def simulate(case: Case, run: Any = run_account) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    state = case.start
    ledger, fills, refused, _ = run(
        case.market, case.targets, case.terms, case.orders, state, case.said
    )
    assert refused == -1
    return ledger, fills, state


@many
@given(case=cases(every=True))
def test_the_twins_agree(case: Case) -> None:
    for plain, jitted in zip(simulate(case, run_plain), simulate(case), strict=True):
        np.testing.assert_allclose(jitted, plain, rtol=1e-12, atol=1e-12 * CASH)


@pytest.mark.few(5)
@many
@given(case=cases(every=True))
def test_the_loop_as_python_runs_it_is_the_compiled_one_to_the_last_bit(case: Case) -> None:
    as_python = partial(run_account, engine="python")
    for plain, jitted in zip(simulate(case, as_python), simulate(case), strict=True):
        np.testing.assert_array_equal(jitted, plain)


@many
@given(case=cases(every=True, band=np.inf, lot=0.0, impact=0.0, least=0.0))
def test_the_engine_agrees_with_the_exact_ledger(exact_perp: ModuleType, case: Case) -> None:
    ledger, fills, _ = simulate(case)
    rows, events = tell(exact_perp, case)

    def close(name: str, key: str) -> None:
        true = np.array([float(row[key]) for row in rows])
        scale = max(CASH, float(np.abs(true).max(initial=0.0)))
        np.testing.assert_allclose(column(ledger, name), true, rtol=1e-9, atol=1e-9 * scale)

    close("equity", "equity")
    close("wallet_balance", "wallet")
    for name, key in (("fee", "fee"), ("slippage", "slip"), ("funding", "funding")):
        close(name, key)
    close("borrow", "borrow")
    close("liquidation", "fund")
    reasons = [REASONS[int(reason)] for reason in made(fills, "reason")]
    assert reasons == [event["reason"] for event in events]
    assert made(fills, "bar").tolist() == [event["bar"] for event in events]
    true = [float(event["price"]) for event in events]
    if case.told["inverse"]:
        true = [1.0 / price for price in true]
    np.testing.assert_allclose(made(fills, "price"), true, rtol=1e-9)


def tell(exact: ModuleType, case: Case) -> tuple[list[dict[str, Decimal]], list[dict[str, Any]]]:
    told, market = case.told, case.market
    venues = [
        exact.Venue(
            TABLES[rules["brackets"]], rules["by"], "entry" if rules["on_entry"] else "mark",
            rules["closing"], told["liquidation_fee"], told["tick"], told["inverse"],
        )
        for rules in rules_of(told)
    ]  # fmt: skip
    names = ("leverage", "cross", "stop_loss", "take_profit", "trailing_stop", "limit_offset",
             "against", "separate", "weigh")  # fmt: skip
    bars = []
    for bar in range(len(case.targets)):
        steps = range(market.first[bar], market.first[bar + 1])
        bars.append([one_step(case, step) for step in steps])
    targets = -case.targets if told["inverse"] else case.targets
    return exact.keep(
        bars, targets.tolist(), [venues[rule] for rule in case.terms.rule],
        exact.Orders(**{name: told[name] for name in names}),
        equity=CASH, taker=told["fee"], maker=told["maker"], slippage=told["slippage"],
        borrow=told["borrow"], decided=None if case.ordered is None else beside(case.ordered),
    )  # fmt: skip


def beside(ordered: pd.DataFrame) -> list[dict[str, Any]]:
    """What is said beside each target, as the exact ledger takes it."""
    names = {"stop_price": "stop", "take_profit_price": "profit", "limit_price": "limit",
             "leverage": "leverage", "time_stop": "time"}  # fmt: skip
    rows = []
    for row in ordered.to_dict("records"):
        told = {key: None if np.isnan(row[name]) else row[name] for name, key in names.items()}
        second = row["exposure_2"], row["limit_price_2"]
        if np.isnan(second[0]):
            second = (None, None)
        rows.append({**told, "rungs": [second]})
    return rows


def one_step(case: Case, step: int) -> dict[str, list[float]]:
    """Quoted prices, and what a unit long and a unit short receive."""
    funding = case.market.funding[step].tolist()
    last, mark = case.quoted
    told = {
        "last": last[step].tolist(),
        "mark": mark[step].tolist(),
        "open": [-funding[0], funding[0]],
        "hold": funding[1:3],
        "leave": funding[3:5],
        "enter": funding[5:7],
    }
    if case.told["inverse"]:  # who is long of dollars is short of their reciprocal price
        told |= {name: told[name][::-1] for name in ("open", "hold", "leave", "enter")}
    return told


@many
@given(case=cases(every=True))
def test_attribution_adds_up_cash_is_conserved_and_ruin_is_for_ever(case: Case) -> None:
    ledger, fills, _ = simulate(case)
    explained = sum(
        sign * column(ledger, name)
        for name, sign in {
            "price_pnl": 1, "fee": -1, "slippage": -1, "liquidation": 1, "funding": 1, "borrow": -1
        }.items()
    )  # fmt: skip
    equity = column(ledger, "equity")
    scale = CASH + np.abs(equity).max() + np.abs(column(ledger, "price_pnl")).max()
    change = np.diff(equity, prepend=CASH)
    assert (np.abs(change - explained) <= 1e-9 * scale).all()
    # What entered and left as cash is what fills, funding and borrow say, and nothing else.
    moved = (
        made(fills, "liquidation")
        - made(fills, "fee")
        - made(fills, "quantity") * made(fills, "price")
    )
    flows = column(ledger, "funding").sum() - column(ledger, "borrow").sum()
    size = CASH + np.abs(moved).sum()
    assert CASH + moved.sum() + flows == pytest.approx(
        column(ledger, "cash")[-1], rel=1e-9, abs=1e-9 * size
    )
    held = column(ledger, "position") != 0.0
    assert (equity[~held] >= 0.0).all()
    if case.told["against"]:
        assert (equity >= 0.0).all()
    ruined = np.flatnonzero((equity == 0.0) & ~held)
    if len(ruined):
        assert not equity[ruined[0] :].any()
        assert not held[ruined[0] :].any()


@many
@given(case=cases(every=True), cut=st.floats(0.0, 1.0))
def test_a_run_split_in_two_is_the_same_run(case: Case, cut: float) -> None:
    at = int(cut * len(case.targets))
    whole, _, end = simulate(case)
    market, edge = case.market, int(case.market.first[at])
    state = case.start
    parts = []
    for bars, steps in (
        (slice(None, at), slice(None, edge)),
        (slice(at, None), slice(edge, None)),
    ):
        first = market.first[bars.start or 0 : (bars.stop or len(case.targets)) + 1]
        part = MarketArrays(
            first - first[0], market.prices[steps], market.marks[steps], market.funding[steps]
        )
        terms = TermArrays(case.terms.rule[bars], case.terms.paid[bars], *case.terms[2:])
        said = case.said
        edges = slice(bars.start or 0, (bars.stop or len(case.targets)) + 1)
        rows = said.orders if len(said.orders) == 1 else said.orders[edges]
        said = Said(rows, said.rungs[bars], said.again[bars])
        parts.append(run_account(part, case.targets[bars], terms, case.orders, state, said)[0])
    np.testing.assert_array_equal(np.vstack(parts), whole)
    np.testing.assert_array_equal(state, end)


MIRRORED: dict[str, Any] = {
    "fee": 0.0, "maker": 0.0, "slippage": 0.0, "impact": 0.0, "borrow": 0.0, "funding": False,
    "separate": False, "by": "entry", "on_entry": True, "brackets": "one", "closing": 0.0,
    "liquidation_fee": 0.0, "limit_offset": None, "lot": 0.0, "detail": False,
}  # fmt: skip


@many
@given(case=cases(targets=1.0, **MIRRORED))
def test_a_short_is_the_long_of_the_mirrored_market(case: Case) -> None:
    # Prices mirrored about the first open exist while they stay under twice it.
    bars = np.minimum(case.market.prices, 1.9 * case.market.prices[0, 0])
    mirror = (2.0 * bars[0, 0] - bars)[:, [0, 2, 1, 3]]
    longs, shorts = (
        replace(
            case,
            market=MarketArrays(case.market.first, prices, prices, case.market.funding),
            targets=side * case.told["leverage"] * np.ones(len(bars)),
            orders=order_numbers(**{**case.told, "band": np.inf}),
        )
        for side, prices in ((1.0, bars), (-1.0, mirror))
    )
    long, short = simulate(longs)[0], simulate(shorts)[0]
    np.testing.assert_allclose(
        column(short, "equity"), column(long, "equity"), rtol=1e-9, atol=1e-9 * CASH
    )
    np.testing.assert_array_equal(
        column(short, "liquidation") != 0, column(long, "liquidation") != 0
    )


@many
@given(
    case=cases(
        leverage=1.0, funding=False, separate=False, closing=0.0, on_entry=False, targets=1.0
    )
)
def test_a_long_without_leverage_is_never_liquidated(case: Case) -> None:
    told = {**case.told, "band": np.inf, "fee": 0.0, "slippage": 0.0, "impact": 0.0}
    fills = simulate(replace(case, orders=order_numbers(**told)))[1]
    assert (made(fills, "reason") != REASONS.index("liquidation")).all()


@many
@given(case=cases(cross=False, funding=False, borrow=0.0, band=np.inf))
def test_a_liquidation_price_lies_between_entry_and_bankruptcy(case: Case) -> None:
    ledger, _, _ = simulate(case)
    position, entry = column(ledger, "position"), column(ledger, "entry_price")
    wallet, trigger = column(ledger, "wallet_balance"), column(ledger, "liquidation_price")
    lever = case.told["leverage"]
    for bar in np.flatnonzero((position != 0.0) & np.isfinite(trigger)):
        side = np.sign(position[bar])
        margin = min(abs(position[bar]) * entry[bar] / lever, wallet[bar])
        gone = liquidation_price(position[bar], entry[bar], margin, MarginLines((0.0,), (0.0,)))
        if margin > 0.06 * abs(position[bar]) * entry[bar]:  # else already below maintenance
            assert side * trigger[bar] <= side * entry[bar] * (1 + 1e-9 * side)
        if not np.isnan(gone):
            assert side * trigger[bar] >= side * gone * (1 - 1e-9 * side)


def test_liquidations_happen_at_the_price_the_formula_gives() -> None:
    forced, compared, inverse = 0, 0, 0

    @many
    @given(
        case=cases(
            every=True, leverage=20.0, by="entry", on_entry=False, brackets="one", changes=None,
            ordered=False, separate=False, detail=False, closing=0.0, fee=0.0, slippage=0.0,
            impact=0.0, tick=0.0, stop_loss=None, take_profit=None, trailing_stop=None,
            limit_offset=None, band=np.inf,
        )
    )  # fmt: skip
    def at_its_price(case: Case) -> None:
        nonlocal forced, compared, inverse
        ledger, fills, _ = simulate(case)
        for number in np.flatnonzero(made(fills, "reason") == BY_FORCE):
            forced += 1
            possible = formula_prices(case, ledger, fills, int(number))
            if possible:
                compared += 1
                inverse += case.told["inverse"]
                found = made(fills[number : number + 1], "price")[0]
                assert any(found == pytest.approx(price, rel=1e-9) for price in possible)

    at_its_price()
    assert forced > 250
    assert compared > 0.8 * forced
    assert inverse > 0.25 * compared


BY_FORCE = REASONS.index("liquidation")


def formula_prices(case: Case, ledger: np.ndarray, fills: np.ndarray, number: int) -> list[float]:
    """Prices a liquidation may have, from the last that is known of entry and wallet before it.

    Not told where that fill added to a position or took from it. Costs of fills are 0 here.
    """
    bar = int(made(fills[number : number + 1], "bar")[0])
    funding, opening = case.market.funding[bar], case.market.prices[bar, 0]
    last = dict(zip(FILL, fills[number - 1], strict=True)) if number else {"bar": -1}
    if last["bar"] == bar:
        position, entry, gap = last["position"], last["price"], []
        if (position - last["quantity"]) * position > 0.0:
            return []
        wallet = last["equity"]
    elif bar > 0:
        row = dict(zip(LEDGER, ledger[bar - 1], strict=True))
        position, entry = row["position"], row["entry_price"]
        wallet = row["wallet_balance"] - position * funding[0]
        gap = [wallet]
    else:
        return []
    size, side = abs(position), np.sign(position)
    owed = size * opening * case.told["borrow"] * (side < 0)
    inside = wallet - owed + size * funding[3 if side > 0 else 4]
    return [forced_price(case, position, entry, balance, opening) for balance in (*gap, inside)]


def forced_price(case: Case, position: float, entry: float, wallet: float, opening: float) -> float:
    lines, told, side = MarginLines((0.005,), (0.0,)), case.told, np.sign(position)
    own = abs(position) * entry / told["leverage"]
    margin = wallet if told["cross"] else min(own, wallet)
    if told["inverse"]:  # as the venue says it: dollars and quoted prices
        quoted = liquidation_price(-position, 1.0 / entry, margin, lines, inverse=True)
        price = 0.0 if np.isnan(quoted) else 1.0 / quoted
    else:
        price = liquidation_price(position, entry, margin, lines)
        price = 0.0 if np.isnan(price) else price
    return opening if side * opening <= side * price else price
