"""Rows of a sweep of several symbols in every mode: single runs, and blind for what comes later."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.book_market import COSTS, MANY, days, funding, perpetual, wild_bars
from tests.engine.book_market import how_of as shared_by

import delever as dl
from delever.deleveraging.period import Period
from delever.engine.legs import Leg
from delever.engine.settings import Account
from delever.engine.sweep_metrics import TOTALS, asked_metrics, column_name, part_names
from delever.errors import InputError
from delever.research.evaluation import sample_of
from delever.stats.metrics import SCOPES
from delever.study.settings.config import DEFAULT_COSTS
from delever.study.sweeps.ground import columns_of
from delever.study.sweeps.joint_ground import JointCombination, JointGround
from delever.study.sweeps.joint_sweep import joint_combination_at_hand, joint_ground_at_hand
from delever.study.workspaces.workspace import Workspace

pytestmark = pytest.mark.xdist_group("portfolio")  # its loop is compiled in one process

SIZE = 160
PERIODS = (
    Period(
        id="made", title="Made", start=days(SIZE)[60], trough=days(SIZE)[70], end=days(SIZE)[80]
    ),
)  # fmt: skip


def strongest(markets: dl.Markets, *, window: int = 10, size: float = 0.9) -> pd.DataFrame:
    """Long what rose most and short what fell most, by ranks over all that have bars then."""
    moved = markets.each(lambda view: view.bars["close"].pct_change(window, fill_method=None))
    place = moved.where(markets.members).rank(axis=1, pct=True) - 0.5
    return (place * size).round(1).where(place.notna().any(axis=1), axis=0).fillna(0.0)


def market_of(seed: int, *, inverse: bool = False) -> tuple[dl.Markets, dict[str, Account]]:
    """Two perpetuals and spot; one begins late, one may lack bars and one may end."""
    chance = np.random.default_rng(seed)
    times = days(SIZE)
    frames = {name: wild_bars(chance, times, 0.04) for name in ("D0", "B1", "C2")}
    frames["B1"] = frames["B1"].iloc[int(chance.integers(0, 20)) :]
    if seed % 3 == 0:
        frames["B1"] = frames["B1"].drop(times[[50, 51]])
    if seed % 3 == 1:
        frames["C2"] = frames["C2"].iloc[:120]
    told: dict[str, Any] = {"leverage": 5.0, "liquidation": 0.005}
    accounts = {
        name: perpetual(f"{name}/USDT:USDT", MANY, funding=funding(chance, times), **told)
        for name in ("D0", "B1")
    }
    if inverse:
        contract = replace(accounts["D0"].traded, kind="inverse")  # type: ignore[type-var]
        accounts["D0"] = replace(accounts["D0"], contract=contract)
    return dl.markets(frames, timeframe="1d"), accounts


def ground_of(
    markets: dl.Markets, accounts: dict[str, Account], how: str, rule: str | None = None
) -> JointGround:
    legs = {name: Leg(bars=view.bars, account=accounts.get(name, Account()))
            for name, view in markets.views.items()}  # fmt: skip
    return joint_ground_at_hand(
        markets, strongest, account=accounts, costs=COSTS, margin=shared_by(how, legs), rule=rule,
        rule_params=None, benchmark="buy_and_hold", start=None, initial_equity=10_000.0,
        periods=PERIODS, place=Workspace.find(None, or_shipped=True),
    )  # fmt: skip


def combinations(ground: JointGround) -> list[JointCombination]:
    make = joint_combination_at_hand(
        ground, Workspace.find(None, or_shipped=True), costs=COSTS, benchmark_costs=DEFAULT_COSTS,
        really=True,
    )  # fmt: skip
    axes = [
        {"window": 5},
        {"window": 20, "size": 1.6},
        {"window": 5, "account.stop_loss": 0.15, "portfolio.rebalance_band": 0.2},
        {"window": 9, "account.leverage": 3.0, "costs.taker_fee": 0.002},
    ]
    return [make(one) for one in axes]


def held_to_single_runs(ground: JointGround) -> tuple[pd.DataFrame, int]:
    """Every column of every row beside that of the run it stands for; how many rows were."""
    made = combinations(ground)
    frame = ground.rows(made)
    metrics, held = asked_metrics(())[0], 0
    for row, one in enumerate(made):
        answer = ground.asked(one)
        assert isinstance(answer, tuple)
        target, begin = answer
        said, run = "", None
        try:
            run = ground.alone(one, target, begin)
            sample = sample_of(run, None)
        except InputError as error:
            said = str(error)
        assert frame["error"].iloc[row] == said
        if run is None or said:
            continue
        scopes = ground.scopes(target, begin)
        wanted = columns_of(run, sample, scopes, metrics, ground.parts, begin, small=0.0)
        if (run.trades["net_pnl"].abs() < 1e-6).any() or (run.fills["notional"] < 1e-6).any():
            continue  # rounding decides
        got = frame.drop(columns=["below_a_lot", "start", "first_decision", "error"]).iloc[row]
        told = pd.Series(wanted, index=frame.columns[: len(wanted)]).drop("below_a_lot")
        assert list(told.index) == list(got.index)
        money = {column_name(scope, name) for scope in SCOPES for name in TOTALS} & {*told.index}
        for names, near in ((sorted(money), 1e-8), ([*told.index.difference([*money])], 1e-11)):
            mine = got[names].astype(float)
            np.testing.assert_allclose(mine, told[names], rtol=1e-12, atol=near, err_msg=str(names))
        held += 1
    return frame, held


@pytest.mark.few(5)
@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    how=st.sampled_from(
        ["separate", "isolated", "cross", "by brackets", "by a share", "collateral", "all"]
    ),
    rule=st.sampled_from([None, "capped"]),
)
def test_every_row_is_the_run_it_stands_for(seed: int, how: str, rule: str | None) -> None:
    markets, accounts = market_of(seed)
    held_to_single_runs(ground_of(markets, accounts, how, rule))


@pytest.mark.parametrize("how", ["separate", "cross", "collateral"])
def test_no_row_is_passed_over_where_nothing_is_dust(how: str) -> None:
    markets, accounts = market_of(2)
    frame, held = held_to_single_runs(ground_of(markets, accounts, how))
    assert held == len(frame) == 4


def test_a_sweep_with_an_inverse_leg_runs_each_by_itself_and_without_bounds() -> None:
    markets, accounts = market_of(2, inverse=True)
    ground = ground_of(markets, accounts, "separate")
    assert ground.slow(combinations(ground)[0])
    frame, held = held_to_single_runs(ground)
    assert held == len(frame)
    assert (frame["error"] == "").all()
    assert frame["total_return"].nunique() == len(frame)
    bounded = {**accounts, "B1": replace(accounts["B1"], bounds=True)}
    for one in (bounded, {"B1": bounded["B1"]}):  # by itself, and many at once
        other = ground_of(markets, one, "separate")
        refused = other.rows(combinations(other)[:1])
        assert refused["error"].iloc[0].startswith("B1: a sweep has no columns for bounds")


def later(markets: dl.Markets, symbol: str, row: int, how: str) -> dl.Markets:
    """The same markets up to a row; after it, one symbol has another story."""
    frames = {name: view.bars for name, view in markets.views.items()}
    old, since = frames[symbol], markets.index[row]
    if how == "ends":
        frames[symbol] = old.loc[old.index < since]
    else:
        wild = wild_bars(np.random.default_rng(row), pd.DatetimeIndex(old.index), 0.1)
        frames[symbol] = pd.concat([old.loc[old.index < since], wild.loc[wild.index >= since]])
    return dl.markets(frames, timeframe="1d")


@pytest.mark.few(5)
@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    how=st.sampled_from(["separate", "isolated", "cross", "by brackets", "collateral"]),
    rule=st.sampled_from([None, "inverse_volatility"]),
    symbol=st.sampled_from(["D0", "B1", "C2"]),
    what=st.sampled_from(["ends", "turns"]),
)
def test_what_becomes_of_one_symbol_changes_nothing_before(
    seed: int, how: str, rule: str | None, symbol: str, what: str
) -> None:
    """Sums of every part that has ended by then are the same to the last bit."""
    markets, accounts = market_of(seed)
    cut = 110
    found = []
    for one in (markets, later(markets, symbol, cut, what)):
        ground = ground_of(one, accounts, how, rule)
        assert one.index.equals(markets.index)
        found.append((ground.rows(combinations(ground)), ground))
    (was, ground), (now, _) = found
    past = [name for name, (_, last) in ground.parts.rows.items() if last <= cut]
    assert {"block_11", "period_made"} <= {*past}
    ran = (was["error"] == "") & (now["error"] == "")
    pd.testing.assert_frame_equal(was[ran][part_names(past)], now[ran][part_names(past)])
    pd.testing.assert_series_equal(was["first_decision"], now["first_decision"])
    assert not ran.any() or not was[ran].equals(now[ran])


def test_leverage_is_swept_of_contracts_alone() -> None:
    markets, accounts = market_of(2)
    ground = ground_of(markets, accounts, "cross")
    last = combinations(ground)[-1].account.accounts
    assert {name: one.leverage for name, one in last.items()} == {"D0": 3.0, "B1": 3.0, "C2": 1.0}
    with pytest.raises(InputError, match="leverage 3 needs a contract"):
        combinations(ground_of(markets, {}, "cross"))
