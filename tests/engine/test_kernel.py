"""The loop over bars of a spot account: its two forms, the exact ledger, what always holds."""

from __future__ import annotations

from decimal import Decimal
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.account_plain import run_plain

from delever.engine.kernel import run_account
from delever.engine.ledger import SPOT_FILL as FILL
from delever.engine.ledger import SPOT_LEDGER as LEDGER
from delever.engine.settings import STATE, Account, orders_of
from delever.engine.simulate import start_state
from delever.engine.steps import FillTerms, Funding, MarketArrays, TermArrays
from delever.engine.trades import trades_frame

CASH = 10_000.0
NEVER = float("inf")
many = settings(max_examples=150, deadline=None, derandomize=True)


@st.composite
def markets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Bars that gap, spike and crash, and a target asked for at each open."""
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size, wild = draw(st.integers(1, 40)), draw(st.sampled_from([0.01, 0.1, 0.4]))
    gap, body, up, down = np.exp(wild * chance.standard_normal((4, size)) * [[0.3], [1], [1], [1]])
    close = draw(st.sampled_from([0.0123, 1.0, 65_432.1])) * np.cumprod(gap * body)
    opening = close / body
    high = np.maximum(opening, close) * np.maximum(up, 1.0)
    low = np.minimum(opening, close) * np.minimum(down, 1.0)
    targets = np.where(
        chance.random(size) < 0.3,
        chance.uniform(-1.0, 1.0, size),
        chance.choice([-1.0, -0.5, 0.0, 0.25, 1.0], size),
    )
    stay = chance.random(size) < draw(st.sampled_from([0.0, 0.7]))
    for bar in np.flatnonzero(stay)[np.flatnonzero(stay) > 0]:
        targets[bar] = targets[bar - 1]
    return np.column_stack([opening, high, low, close]), targets


fees = st.sampled_from([0.0, -0.0002, 0.001, 0.02])
slippages = st.sampled_from([0.0, 0.0005, 0.03])
bands = st.sampled_from([NEVER, 0.05, 0.5])


def start(bars: np.ndarray) -> np.ndarray:
    return start_state(CASH, float(bars[0, 0]))


def run(
    bars: np.ndarray,
    targets: np.ndarray,
    fee: float,
    slippage: float,
    band: float,
    state: np.ndarray,
    loop: Any = run_account,
) -> tuple[np.ndarray, np.ndarray]:
    """Ledger and fills of a spot account; the state is changed."""
    size = len(bars)
    paid = FillTerms(fee, 0.0, 0.0, slippage, 0.0, 0.0)
    market = MarketArrays(np.arange(size + 1), bars, bars, np.zeros((size, len(Funding._fields))))
    terms = TermArrays(
        np.zeros(size, dtype=np.int64),
        np.tile(paid, (size, 1)),
        np.array([[[np.inf, 0.0, 0.0, np.inf]]]),
        np.zeros((1, 3)),
    )
    ledger, fills, _, _ = loop(market, targets, terms, orders_of(Account(), band=band), state)
    return ledger[:, : len(LEDGER)], fills[:, : len(FILL)]


def column(ledger: np.ndarray, name: str) -> np.ndarray:
    return ledger[:, LEDGER.index(name)]


@many
@given(market=markets(), fee=fees, slippage=slippages, band=bands)
def test_the_twins_agree(market: Any, fee: float, slippage: float, band: float) -> None:
    bars, targets = market
    for plain, jitted in zip(
        run(bars, targets, fee, slippage, band, start(bars), run_plain),
        run(bars, targets, fee, slippage, band, start(bars)),
        strict=True,
    ):
        np.testing.assert_allclose(jitted, plain, rtol=1e-12, atol=0.0)


@many
@given(market=markets(), fee=fees, slippage=slippages, band=bands)
def test_the_engine_agrees_with_the_exact_ledger(
    exact: ModuleType, market: Any, fee: float, slippage: float, band: float
) -> None:
    bars, targets = market
    ledger, fills = run(bars, targets, fee, slippage, band, start(bars))
    rows, true_fills = exact.keep(
        bars.tolist(),
        targets.tolist(),
        fee=fee,
        slippage=slippage,
        cash=CASH,
        band=None if band == NEVER else band,
    )

    def close(name: str, values: list[Decimal]) -> None:
        true = np.array([float(value) for value in values])
        scale = max(CASH, float(np.abs(true).max(initial=0.0)))
        np.testing.assert_allclose(column(ledger, name), true, rtol=1e-9, atol=1e-9 * scale)

    close("equity", [row["equity"] for row in rows])
    close("cash", [row["cash"] for row in rows])
    close("liquidation", [row["shortfall"] for row in rows])
    assert fills[:, FILL.index("bar")].tolist() == [fill["bar"] for fill in true_fills]
    assert fills[:, FILL.index("reason")].tolist() == [fill["forced"] for fill in true_fills]
    for name, key in (("price", "price"), ("quantity", "quantity"), ("fee", "fee")):
        np.testing.assert_allclose(
            fills[:, FILL.index(name)],
            [float(fill[key]) for fill in true_fills],
            rtol=1e-9,
            atol=1e-9 * CASH / float(bars.min()) if name == "quantity" else 1e-9 * CASH,
        )


@many
@given(market=markets(), fee=fees, slippage=slippages)
def test_round_trips_agree_with_the_exact_ledger(
    exact: ModuleType, market: Any, fee: float, slippage: float
) -> None:
    bars, targets = market
    _, fills = run(bars, targets, fee, slippage, NEVER, start(bars))
    _, true_fills = exact.keep(
        bars.tolist(), targets.tolist(), fee=fee, slippage=slippage, cash=CASH
    )
    index = pd.date_range("2020-01-01", periods=len(bars), tz="UTC")
    trades = trades_frame(fills, index, last_close=float(bars[-1, 3]))
    trips = exact.round_trips(true_fills, float(bars[-1, 3]))
    assert trades["side"].tolist() == [trip["side"] for trip in trips]
    for name, key in (("net_pnl", "net"), ("quantity", "most")):
        true = [float(trip[key]) for trip in trips]
        scale = max([CASH, *map(abs, true)])
        np.testing.assert_allclose(trades[name], true, rtol=1e-9, atol=1e-9 * scale)


@many
@given(market=markets(), fee=fees, slippage=slippages, band=bands)
def test_attribution_adds_up_and_equity_is_never_negative(
    market: Any, fee: float, slippage: float, band: float
) -> None:
    bars, targets = market
    ledger, fills = run(bars, targets, fee, slippage, band, start(bars))
    equity = column(ledger, "equity")
    assert (equity >= 0.0).all()
    explained = (
        column(ledger, "price_pnl")
        - column(ledger, "fee")
        - column(ledger, "slippage")
        + column(ledger, "liquidation")
    )
    change = np.diff(equity, prepend=CASH)
    scale = np.maximum.accumulate(np.append(CASH, equity))[1:]
    assert (np.abs(change - explained) <= 1e-9 * scale).all()
    # What left and entered as cash is what the fills say, and nothing else.
    spent = fills[:, FILL.index("quantity")] * fills[:, FILL.index("price")]
    moved = fills[:, FILL.index("liquidation")] - fills[:, FILL.index("fee")] - spent
    assert CASH + moved.sum() == pytest.approx(
        ledger[-1, LEDGER.index("cash")], rel=1e-9, abs=1e-9 * (CASH + np.abs(moved).sum())
    )


@many
@given(market=markets(), fee=fees, slippage=slippages)
def test_ruin_is_for_ever(market: Any, fee: float, slippage: float) -> None:
    bars, targets = market
    ledger, fills = run(bars, targets, fee, slippage, NEVER, start(bars))
    ruined = np.flatnonzero(column(ledger, "equity") == 0.0)
    forced = fills[fills[:, FILL.index("reason")] == 1.0]
    assert len(forced) == (1 if len(ruined) else 0)
    if len(ruined):
        after = ledger[ruined[0] + 1 :]
        assert forced[0, FILL.index("bar")] == ruined[0]
        assert not np.delete(after, LEDGER.index("target_exposure"), axis=1).any()


@many
@given(market=markets(), fee=fees, slippage=slippages, band=bands, cut=st.floats(0.0, 1.0))
def test_a_run_split_in_two_is_the_same_run(
    market: Any, fee: float, slippage: float, band: float, cut: float
) -> None:
    bars, targets = market
    at = int(cut * len(bars))
    whole, _ = run(bars, targets, fee, slippage, band, start(bars))
    state = start(bars)
    head, _ = run(bars[:at], targets[:at], fee, slippage, band, state)
    if at:
        last = dict(zip(LEDGER, head[-1].tolist(), strict=True))
        assert state[STATE.index("cash")] == last["cash"]
    tail, _ = run(bars[at:], targets[at:], fee, slippage, band, state)
    np.testing.assert_array_equal(np.vstack([head, tail]), whole)


@many
@given(market=markets(), other=markets(), fee=fees, slippage=slippages)
def test_the_future_does_not_change_the_past(
    market: Any, other: Any, fee: float, slippage: float
) -> None:
    bars, targets = market
    alone, _ = run(bars, targets, fee, slippage, NEVER, start(bars))
    longer = np.vstack([bars, other[0]]), np.append(targets, other[1])
    together, _ = run(*longer, fee, slippage, NEVER, start(bars))
    np.testing.assert_array_equal(together[: len(bars)], alone)


@many
@given(market=markets(), fee=fees, slippage=slippages, factor=st.sampled_from([2.0**-9, 8.0]))
def test_the_unit_of_price_does_not_matter(
    market: Any, fee: float, slippage: float, factor: float
) -> None:
    bars, targets = market  # factors are powers of two, so that the scaled market is exact
    one, _ = run(bars, targets, fee, slippage, NEVER, start(bars))
    two, _ = run(bars * factor, targets, fee, slippage, NEVER, start(bars * factor))
    np.testing.assert_array_equal(column(two, "equity"), column(one, "equity"))
    np.testing.assert_array_equal(column(two, "position") * factor, column(one, "position"))


@many
@given(market=markets())
def test_a_short_is_the_long_of_the_mirrored_market(market: Any) -> None:
    # Without costs, a short held from the first open earns what a long earns on prices mirrored
    # about that open; the mirror exists while prices stay under twice the open.
    bars, _ = market
    bars = np.minimum(bars, 1.9 * bars[0, 0])
    mirrored = (2.0 * bars[0, 0] - bars)[:, [0, 2, 1, 3]]
    held = np.ones(len(bars))
    short, _ = run(bars, -held, 0.0, 0.0, NEVER, start(bars))
    long, _ = run(mirrored, held, 0.0, 0.0, NEVER, start(bars))
    np.testing.assert_allclose(column(short, "equity"), column(long, "equity"), rtol=1e-9)


@many
@given(market=markets())
def test_a_free_full_long_is_the_market(market: Any) -> None:
    bars, _ = market
    ledger, _ = run(bars, np.ones(len(bars)), 0.0, 0.0, NEVER, start(bars))
    np.testing.assert_allclose(column(ledger, "equity"), CASH * bars[:, 3] / bars[0, 0], rtol=1e-12)


@many
@given(market=markets(), band=st.sampled_from([0.02, 0.2]))
def test_a_band_bounds_the_drift_at_the_open(market: Any, band: float) -> None:
    bars, targets = market
    ledger, fills = run(bars, targets, 0.0, 0.0, band, start(bars))
    held = np.append(0.0, column(ledger, "position"))
    cash = np.append(CASH, column(ledger, "cash"))
    traded = set(fills[:, FILL.index("bar")].astype(int))
    for bar in set(range(len(bars))) - traded:
        equity = cash[bar] + held[bar] * bars[bar, 0]
        if equity > 0.0:
            assert abs(held[bar] * bars[bar, 0] / equity - targets[bar]) <= band + 1e-9
