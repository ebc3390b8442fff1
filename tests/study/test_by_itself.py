"""What the compiled sweep does not cover is run one by one: its columns, a single run's figures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.engine.test_perp_inverse import perp
from tests.engine.test_sweep import random_bars

import delever as dl
from delever.deleveraging.period import load_catalog
from delever.engine.sweep_metrics import SWEPT, TOTALS, column_name, part_names
from delever.errors import InputError
from delever.stats.metric import SCOPES
from delever.study.runs.simulation import RunTerms, simulate
from delever.study.sweeps import study_sweep as sweep_module
from delever.study.sweeps.chunk import SweepGround
from delever.venues.contract import PerpContract
from delever.venues.costs import Borrow
from delever.venues.slippage import Impact

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

ROOT = Path(__file__).parents[2]
AXES = {"window": [5, 12], "costs.taker_fee": [0.002], "account.stop_loss": [0.05, 0.6]}
COSTS = dl.Costs(taker_fee=0.001, slippage=0.0005)


def above(market, *, window: int = 5, below: float = -0.5):
    """Half long above an average, half short or flat below it."""
    close = market.bars["close"]
    line = close.rolling(window).mean()
    return pd.Series(np.where(close > line, 0.5, below), close.index).where(line.notna())


@pytest.fixture(scope="module")
def market() -> dl.MarketView:
    return dl.market(random_bars(11, 500, wild=0.04).assign(volume=1_000.0), timeframe="1d")


def halves(bars: pd.DataFrame) -> pd.DataFrame:
    """Two bars of half a day that make up each bar."""
    middle = np.sqrt(bars["high"] * bars["low"])
    first = bars.assign(close=middle, low=np.minimum(bars["open"], middle))
    second = bars.assign(open=middle, high=np.maximum(middle, bars["close"]))
    return pd.concat([first, second.set_axis(bars.index + pd.Timedelta(hours=12))]).sort_index()


def kind(name: str, market: dl.MarketView) -> tuple[dl.Account | None, dl.Costs]:
    """An account and costs that many accounts at once do not cover."""
    accounts = {
        "limit_offset": dl.Account(limit_offset=0.005),
        "rebalance_band": dl.Account(rebalance_band=0.05),
        "detail": dl.Account(detail=halves(market.bars)),
        "an inverse contract": perp(leverage=3.0),
    }
    more = {"borrow": Borrow(rate=0.2), "slippage with impact": Impact(coefficient=0.5)}
    return accounts.get(name), COSTS + more[name] if name in more else COSTS


@pytest.mark.parametrize(
    "name",
    [
        *("limit_offset", "rebalance_band", "detail", "an inverse contract", "borrow"),
        "slippage with impact",
    ],
)
def test_each_row_is_the_single_run(market, name) -> None:
    account, costs = kind(name, market)
    swept = dl.sweep(market, above, AXES, account=account, costs=costs)
    assert len(swept.frame) == 4
    assert (swept.frame["error"] == "").all()
    assert any(note.endswith(f"do not cover {name}") for note in swept.notes)
    assert swept.frame["sharpe_ratio"].nunique() == 4
    for row, one in swept.frame.iterrows():
        own = replace(account or dl.Account(), stop_loss=one["account.stop_loss"])
        paid = replace(costs, taker_fee=one["costs.taker_fee"])
        run = simulate(
            market,
            dl.strategy(above),
            name="one",
            benchmark=dl.strategy("buy_and_hold"),
            params={"window": int(one["window"])},
            costs=paid,
            account=own,
            terms=RunTerms(periods=load_catalog(ROOT / "data" / "deleveraging.toml")),
        )
        done = run.backtest
        for scope in SCOPES:
            for each in SWEPT:
                got = one[column_name(scope, each.name)]
                expected = run.metrics.loc[each.name, scope]
                assert got == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)
        for total in TOTALS[:-1]:
            spent = done.ledger[total].sum() if total in done.ledger else 0.0
            both = one[f"inside_{total}"] + one[f"outside_{total}"]
            assert one[total] == pytest.approx(spent, rel=1e-12)
            assert both == pytest.approx(spent, rel=1e-9)
        assert one["liquidations"] == (done.fills["reason"] == "liquidation").sum()
        sums = swept.sums.loc[row, part_names(f"block_{block}" for block in range(1, 17))]
        returns, squares, growth, trades = sums.to_numpy().reshape(16, 4).sum(axis=0)
        assert returns == pytest.approx(done.returns.sum(), rel=1e-9)
        assert squares == pytest.approx((done.returns**2).sum(), rel=1e-9)
        assert growth == pytest.approx(np.log(done.equity.iloc[-1] / 10_000.0), rel=1e-9)
        assert trades == (done.trades["status"] != "open").sum()


@pytest.mark.parametrize("leverage", [1.0, 20.0])
def test_the_columns_are_those_of_the_compiled_sweep(market, monkeypatch, leverage) -> None:
    """On what both can do the two paths agree, bar by bar against sums."""
    account = dl.Account(
        contract="BTC/USDT:USDT", rules="generic", leverage=leverage, exposure=2.0 * leverage,
        funding_policy="missing-is-zero",
    )  # fmt: skip
    at_once = dl.sweep(market, above, AXES, account=account, costs=COSTS)
    monkeypatch.setattr(SweepGround, "why_alone", "a test")
    alone = dl.sweep(market, above, AXES, account=account, costs=COSTS)
    assert (alone.frame["liquidations"].sum() > 0) == (leverage > 1.0)
    pd.testing.assert_frame_equal(alone.frame, at_once.frame, rtol=1e-9, atol=1e-9)
    pd.testing.assert_frame_equal(alone.sums, at_once.sums, rtol=1e-9, atol=1e-9)


def test_a_study_is_cut_in_small_chunks_and_any_worker_gives_the_same(
    workspace, monkeypatch
) -> None:
    monkeypatch.setattr(sweep_module, "_ALONE", 1)
    path = workspace.backtests / "limits.toml"
    path.write_text(
        'strategy = "ma200w_break"\ndata = "sample/ohlcv/BTC/USD/1d"\nend = 2013-01-01\n'
        "[account]\nlimit_offset = 0.01\n[sweep.params]\nweeks = [20, 30, 900]\n"
    )
    here = dl.sweep(path, workspace=workspace, workers=1)
    assert len(list((here.folder / "chunks").iterdir())) == 3
    assert here.frame["error"].iloc[2].startswith("the strategy needs more history")
    with ThreadPoolExecutor(2) as pool:
        there = dl.sweep(path, workspace=workspace, fresh=True, cluster=pool)
    pd.testing.assert_frame_equal(here.frame, there.frame)


def test_a_band_is_an_axis_and_each_row_the_run_with_it(market) -> None:
    half = 0.5 * above(market, window=10)
    swept = dl.sweep(market, half, {"account.rebalance_band": [0.01, 0.2]})
    runs = [
        dl.backtest(market, half, account=dl.Account(rebalance_band=band)) for band in (0.01, 0.2)
    ]
    assert len(runs[0].evaluation.backtest.fills) > len(runs[1].evaluation.backtest.fills)
    assert swept.frame["total_return"].tolist() == pytest.approx(
        [run.metrics.loc["total_return", "whole"] for run in runs], rel=1e-12
    )
    assert any(note.endswith("do not cover rebalance_band") for note in swept.notes)
    with pytest.raises(InputError, match="rebalance_band must be a drift of exposure, 0 or more"):
        dl.Account(rebalance_band=-0.1)


def test_a_sweep_sends_no_order_below_the_least_either(market) -> None:
    contract = PerpContract(symbol="BTC/USDT:USDT", min_notional=6_000.0)
    account = dl.Account(contract=contract, rules="generic", funding_policy="missing-is-zero")
    target = pd.Series(np.tile([0.5, 0.7, 0.1, 0.9], len(market.index))[: len(market.index)],
                       index=market.index)  # fmt: skip
    swept = dl.sweep(market, target, {"account.leverage": [1.0, 2.0]}, account=account)
    run = dl.backtest(market, target, account=account)
    assert any("were not sent" in note for note in run.notes)
    expected = run.metrics.loc["total_return", "whole"]
    assert swept.frame["total_return"].tolist() == pytest.approx([expected] * 2, rel=1e-9)


def test_bounds_are_of_single_runs(market) -> None:
    swept = dl.sweep(market, above, {"window": [5, 12]}, account=dl.Account(bounds=True))
    assert "a sweep has no columns for bounds" in swept.refusal


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_liquidations_and_lots_are_said_and_swept_costs_named(market, workspace) -> None:
    account = dl.Account(
        contract="BTC/USDT:USDT", rules="generic", exposure=40.0, leverage=20.0,
        funding_policy="missing-is-zero",
    )  # fmt: skip
    axes = {"window": [5, 12], "costs.taker_fee": [0.0, 0.002], "account.exposure": [10.0, 40.0]}
    swept = dl.sweep(market, above, axes, account=account, costs=COSTS)
    struck = swept.frame["liquidations"]
    assert (struck > 0).sum() > 0
    said = f"{(struck > 0).sum()} of 8 combinations were liquidated, {struck.sum():,.0f} times"
    assert any(note.startswith(said) for note in swept.notes)
    assert swept.about["Costs of a fill"] == "taker fee 0.00% or 0.20%, slippage 0.05%"
    assert swept.about["Account"].endswith("isolated, leverage 20x, exposure 10 or 40")
    assert "taker fee 0.00% or 0.20%" in swept.html()
    assert swept.benchmark.name == "buy and hold"
    many = dl.sweep(market, above, {"costs.slippage": [k / 1e4 for k in range(1, 6)]}, costs=COSTS)
    assert many.about["Costs of a fill"] == "fee 0.10%, slippage 0.01% to 0.05%"


@pytest.mark.otherwise(True)
def test_ruined_combinations_leave_the_choice_among_the_others_without_a_warning(market) -> None:
    account = dl.Account(
        contract="BTC/USDT:USDT", rules="generic", leverage=20.0, margin_mode="cross",
        funding_policy="missing-is-zero",
    )  # fmt: skip
    axes = {"window": [5, 12, 20], "account.exposure": [1.0, 40.0]}
    swept = dl.sweep(market, above, axes, account=account, costs=COSTS)  # warnings are errors
    ruined = swept.frame["total_return"] == -1.0
    assert 0 < ruined.sum() < 6
    assert ruined[swept.terrain.peak]
    assert any("best Sharpe ratio lost everything" in note for note in swept.notes)
    assert swept.choosing is not None


def test_what_is_below_a_lot_is_said(market) -> None:
    book = perp(leverage=3.0)
    lots = replace(book.contract, kind="linear", symbol="BTC/USDT:USDT", lot=20.0)
    account = replace(book, contract=lots, rules=replace(book.rules, contract=lots))
    for more in ({}, {"limit_offset": 0.001}):
        swept = dl.sweep(market, above, {"window": [5, 12]}, account=replace(account, **more))
        assert (swept.frame["below_a_lot"] > 10).all()
        total = swept.frame["below_a_lot"].sum()
        said = f"2 of 2 combinations decided for less than one lot, {total:,.0f} times in all"
        assert any(said in note for note in swept.notes)
        assert "each of its decisions was below one lot" in swept.tables["without_result"].index[0]
