"""Many accounts of several positions at once: each is the single run."""

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
    days,
    funding,
    perpetual,
    random_legs,
    wild_bars,
)

from delever.engine.book_accounts import BookAccount, book_sweep
from delever.engine.portfolio import Leg, Margin, PortfolioBacktest, portfolio_backtest
from delever.engine.sweep_accounts import Changes, changes_each
from delever.engine.sweep_metrics import SWEPT, TOTALS, column_name, part_names
from delever.errors import DeleverError, InputError
from delever.research.evaluation import sample_of
from delever.stats.metrics import SCOPES, compute_scopes
from delever.venues.costs import Costs

pytestmark = pytest.mark.xdist_group("portfolio")  # its loop is compiled in one process

ORDERS: list[dict[str, Any]] = [
    {},
    {"stop_loss": 0.1, "take_profit": 0.2, "trailing_stop": 0.15},
    {"trailing_stop": 0.3},
    {"limit_offset": 0.01},
]


def changes(targets: pd.DataFrame) -> dict[str, Changes]:
    held = np.ascontiguousarray(targets.ffill().to_numpy(dtype=np.float64).T)
    each = changes_each(held, np.arange(len(targets)), len(targets)).changes
    return dict(zip(targets, each, strict=True))


def expected(run: PortfolioBacktest, inside: np.ndarray) -> tuple[dict[str, float], dict[str, Any]]:
    """Metrics of a single run by the names of a sweep, and its totals."""
    scopes = {"whole": np.ones(len(inside), bool), "inside": inside, "outside": ~inside}
    table = compute_scopes(sample_of(run, None), scopes, SWEPT)
    metrics = {
        column_name(scope, each.name): float(table[scope][each.name])
        for scope in SCOPES
        for each in SWEPT
        if scope in each.scopes
    }
    forced = run.fills["time"][run.fills["reason"] == "liquidation"]
    rows = run.ledger.index.get_indexer(pd.Index(forced))
    totals = {
        column_name(scope, name): run.ledger[name][scopes[scope]].sum()
        for scope in SCOPES
        for name in TOTALS
        if name in run.ledger
    }
    totals |= {column_name(s, "liquidations"): float(scopes[s][rows].sum()) for s in SCOPES}
    return metrics, totals


def close_to_zero(run: PortfolioBacktest) -> bool:
    """Whether rounding decides: a trade that won nothing, or a cut of next to nothing."""
    tiny = (run.fills["notional"] < 1e-6) | (run.fills["quantity"].abs() < 1e-9)
    return bool((run.trades["net_pnl"].abs() < 1e-6).any() or tiny.any())


@pytest.mark.few(10)
@settings(max_examples=500)
@given(
    seed=st.integers(0, 2**32 - 1),
    how=st.sampled_from(sorted(HOWS)),
    orders=st.sampled_from(ORDERS),
    band=st.sampled_from([None, None, 0.3]),
    wild=st.sampled_from([0.005, 0.02, 0.08]),
    size=st.sampled_from([40, 150]),
    count=st.integers(1, 5),
    begin=st.sampled_from([0, 7]),
)
def test_each_row_is_the_single_run(
    seed: int, how: str, orders: dict[str, Any], band: float | None, wild: float, size: int,
    count: int, begin: int,
) -> None:  # fmt: skip
    legs, targets = random_legs(seed, size, count, wild=wild, **orders)
    margin, inside = HOWS[how], np.zeros(size, dtype=bool)
    if margin.counted is not None:
        spot = [name for name, leg in legs.items() if leg.account.contract is None]
        margin = replace(margin, counted=dict.fromkeys(spot, 0.9)) if spot else HOWS["cross"]
    chance = np.random.default_rng(seed)
    first = int(chance.integers(3, size // 2))
    inside[first : first + size // 4] = True
    parts = {"first": (0, size // 3), "second": (size // 3, size), "late": (size // 2, size - 1)}
    since = targets.index[begin]
    cut = {
        name: Leg(bars=leg.bars.loc[since:], account=leg.account, costs=leg.costs, ends=leg.ends)
        for name, leg in legs.items()
    }
    said, run = "", None
    try:
        run = portfolio_backtest(
            *(cut, targets.ffill().iloc[max(begin - 1, 0) :]),
            timeframe="1d", margin=margin, rebalance_band=band,
        )  # fmt: skip
        sample_of(run, None)
    except DeleverError as error:
        said = str(error)
    market = book_sweep(legs, timeframe="1d", margin=margin, inside=inside, parts=parts)
    one = BookAccount(begin=begin, decided=begin - 1, changes=changes(targets), band=band)
    frame, errors = market.run([one, one])
    pd.testing.assert_series_equal(frame.iloc[0], frame.iloc[1], check_names=False)
    if said:
        assert errors == dict.fromkeys((0, 1), said)
        return
    assert not errors
    assert run is not None
    if close_to_zero(run):
        return
    row, (metrics, totals) = frame.iloc[0], expected(run, inside[begin:])
    got = row[list(metrics)].to_numpy()
    np.testing.assert_allclose(got, [*metrics.values()], rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(row[list(totals)].to_numpy(), [*totals.values()], atol=1e-8)
    if run.equity.min() <= 0.0:
        return  # nothing is left to grow
    growth = np.log(np.append(1.0, run.equity / run.initial_equity))
    bounds = np.maximum(np.array([*parts.values()]) - begin, 0)
    logs = [growth[b] - growth[a] for a, b in bounds.tolist()]
    names = [name for name in part_names(parts) if name.endswith("growth")]
    np.testing.assert_allclose(row[names].to_numpy(dtype=float), logs, atol=1e-11)


def book(size: int = 300) -> tuple[dict[str, Leg], pd.DataFrame]:
    chance = np.random.default_rng(4)
    times = days(size)
    legs, targets = {}, {}
    for name in "ABC":
        account = perpetual(f"{name}/USDT:USDT", leverage=5.0, funding=funding(chance, times))
        legs[name] = Leg(bars=wild_bars(chance, times, 0.02), account=account, costs=COSTS)
        targets[name] = np.repeat(chance.uniform(-1.0, 1.0, size // 20), 20)
    return legs, pd.DataFrame(targets, index=times)


def test_settings_and_fees_of_an_account_are_its_own() -> None:
    """Of one layout, an account with other settings is the single run with them."""
    legs, targets = book()
    market = book_sweep(legs, timeframe="1d", margin=Margin())
    other = replace(legs["B"].account, leverage=3.0, stop_loss=0.05, exposure=0.5)
    costs = Costs(taker_fee=0.002, slippage=0.001)
    one = BookAccount(
        begin=0, decided=-1, changes=changes(targets), accounts={"B": other}, costs={"A": costs}
    )
    row = market.run([one])[0].iloc[0]
    single = legs | {
        "A": Leg(bars=legs["A"].bars, account=legs["A"].account, costs=costs),
        "B": Leg(bars=legs["B"].bars, account=other, costs=COSTS),
    }
    run = portfolio_backtest(single, targets, timeframe="1d")
    metrics, _ = expected(run, np.zeros(len(targets), dtype=bool))
    whole = [name for name in metrics if not name.startswith(("inside", "outside"))]
    np.testing.assert_allclose(
        row[whole].to_numpy(), [metrics[name] for name in whole], rtol=1e-12, atol=1e-11
    )


def test_what_no_single_run_takes_has_a_reason_and_the_others_a_row() -> None:
    legs, targets = book(60)
    market = book_sweep(legs, timeframe="1d", margin=Margin())
    asked = [
        BookAccount(begin=0, decided=-1, changes=changes(times * targets)) for times in (1, 7, 3.5)
    ]
    frame, errors = market.run(asked)
    assert "target_exposure must lie in [-5, 5], its leverage" in errors[1]
    assert 2 not in errors or "must not need more margin" in errors[2]
    assert frame.iloc[1].isna().all()
    assert frame.loc[0].notna().any()
    bounded = {"A": Leg(bars=legs["A"].bars, account=perpetual("A/USDT:USDT", bounds=True))}
    with pytest.raises(InputError, match="A: a sweep has no columns for bounds"):
        book_sweep(bounded, timeframe="1d", margin=Margin())


def test_the_future_changes_no_sum_of_the_past() -> None:
    """Sums of a part are the same whatever the prices and targets after it are."""
    legs, targets = book()
    parts = {"past": (0, 150), "future": (150, 300)}
    later = {
        name: Leg(
            bars=pd.concat([leg.bars.iloc[:150], leg.bars.iloc[150:] * 1.7]),
            account=leg.account,
            costs=leg.costs,
        )
        for name, leg in legs.items()
    }
    rows = []
    known = pd.Series(np.arange(300) < 149, targets.index)
    for held, asked in ((legs, targets), (later, targets.mask(~known, 0.1))):
        market = book_sweep(held, timeframe="1d", margin=Margin(), parts=parts)
        one = BookAccount(begin=0, decided=-1, changes=changes(pd.DataFrame(asked)))
        rows.append(market.run([one])[0].iloc[0])
    for name in part_names(["past"]):
        assert rows[0][name] == pytest.approx(rows[1][name], rel=1e-12)
    assert rows[0]["future_growth"] != rows[1]["future_growth"]


def test_how_positions_moved_counts_from_the_first_bar_of_the_run() -> None:
    """Also of an account that decides later: apart for 40 bars, together for the 25 it holds."""
    times, far = days(70), np.where(np.arange(70) < 40, 0.05, 0.001)
    moves = far * np.where(np.arange(70) % 2, 1.0, -1.0)
    legs, together = {}, np.where(np.arange(70) < 40, -1.0, 1.0)
    for name, own in (("A", moves), ("B", moves * together)):
        close = 100.0 * np.cumprod(1.0 + own)
        opened = close / (1.0 + own)
        bars = pd.DataFrame({"open": opened, "close": close}, index=times).assign(volume=1.0)
        high, low = (getattr(bars[["open", "close"]], end)(axis=1) for end in ("max", "min"))
        wide = np.where(np.arange(70) == 65, 0.15, 0.0)
        bars = bars.assign(high=high * (1.0 + wide), low=low * (1.0 - wide))
        legs[name] = Leg(bars=bars, account=perpetual(f"{name}/USDT:USDT", leverage=10.0))
    held = pd.DataFrame({"A": 4.5, "B": 4.4}, index=times)
    market = book_sweep(legs, timeframe="1d", margin=Margin())
    found = {}
    for first in (0, 39):
        since = held.loc[times[first] :].reindex(times)
        run = portfolio_backtest(legs, since, timeframe="1d")
        one = BookAccount(begin=0, decided=first, changes=changes(since))
        row = market.run([one])[0].iloc[0]
        assert row["liquidations"] == (run.fills["reason"] == "liquidation").sum()
        wealth = run.equity.iloc[-1] / run.initial_equity
        assert row["total_return"] == pytest.approx(wealth - 1.0, rel=1e-12)
        found[first] = row["liquidations"]
    assert found[39] == 0.0


@pytest.mark.parametrize("how", ["separate", "isolated", "cross"])
def test_combinations_that_are_walked_side_by_side_are_single_runs(how: str) -> None:
    """Over more bars than one walks at a time; each with its targets, some from later on."""
    legs, _ = book(2500)
    times, chance = days(2500), np.random.default_rng(9)
    market = book_sweep(legs, timeframe="1d", margin=HOWS[how])
    asked, runs = [], []
    for number in range(3):
        drawn = np.repeat(chance.uniform(-1.0, 1.0, (50, 3)), 50, axis=0)
        targets = pd.DataFrame(0.2 * (1 + number) * drawn, columns=[*"ABC"], index=times)
        targets = targets.iloc[700 * number :].reindex(times)
        asked.append(BookAccount(begin=0, decided=700 * number, changes=changes(targets)))
        runs.append(portfolio_backtest(legs, targets, timeframe="1d", margin=HOWS[how]))
    frame, errors = market.run(asked)
    assert not errors
    for (_, row), run in zip(frame.iterrows(), runs, strict=True):
        wealth = run.equity.iloc[-1] / run.initial_equity
        assert row["total_return"] == pytest.approx(wealth - 1.0, rel=1e-11, abs=1e-12)
        for name in ("fee", "funding", "liquidation"):
            assert row[name] == pytest.approx(run.ledger[name].sum(), rel=1e-10, abs=1e-8)
