"""Walks over several symbols: what single runs would choose, blind for later, one account."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from tests.study.test_joint_rows import market_of, strongest

import delever as dl
from delever.cli.app import main
from delever.engine.settings import Account
from delever.errors import ConfigError, InputError
from delever.panel import Markets
from delever.research.walking import Pace, parts_of, windows
from delever.study.sweeps.joint_walk import SeveralWalked, several_at_hand
from delever.study.workspaces.workspace import Workspace

pytestmark = [
    pytest.mark.xdist_group("portfolio"),  # its loop is compiled in one process
    pytest.mark.drawn(False),
    pytest.mark.otherwise(False),
]

PACE = {"window": 40, "step": 30, "embargo": 2, "choose": "growth"}
AXES = {"window": [5, 10, 20]}


def asked(markets: Markets, accounts: dict[str, Account], margin: str = "cross") -> SeveralWalked:
    return several_at_hand(
        Workspace.find(None, or_shipped=True), markets, strongest, AXES, account=accounts,
        costs=None, benchmark="buy_and_hold", start=None, margin=margin, rule=None,
        rule_params=None,
    )  # fmt: skip


def walked(markets: Markets, accounts: dict[str, Account], **more: object) -> dl.WalkForward:
    return dl.walk_forward(markets, strongest, AXES, account=accounts, shifts=0, **{**PACE, **more})


@pytest.mark.parametrize("margin", ["cross", "separate"])
def test_each_window_chooses_what_single_runs_would_and_holds_it(margin: str) -> None:
    """A coin ends on the way; with a wallet of coins each combination is run by itself."""
    markets, accounts = market_of(1, inverse=margin == "separate")
    walk = walked(markets, accounts, margin=margin)
    runs = {
        days: dl.backtest(
            markets, strongest, window=days, account=accounts, margin=margin
        ).evaluation.backtest
        for days in AXES["window"]
    }
    assert walk.windows["fit_start"].iloc[0] == min(run.ledger.index[0] for run in runs.values())
    assert len(walk.windows) >= 3
    for row in walk.windows.itertuples():
        made = {}
        for days, run in runs.items():
            own = run.returns
            made[days] = float(np.log1p(own[row.fit_start : row.fit_end]).sum())
        assert row.window == max(made, key=made.__getitem__)
        grown = float(np.log1p(runs[row.window].returns[row.start : row.end]).sum())
        lasting = (row.end - row.start) / pd.Timedelta(days=1) + 1.0
        assert row.growth == pytest.approx(np.expm1(grown * 365 / lasting), rel=1e-9)
    held = walk.run.evaluation.backtest
    assert held.ledger.index[0] == walk.windows["start"].iloc[0]
    for row in walk.windows.itertuples():
        for name, leg in held.legs.items():
            got = leg["target_exposure"][row.start : row.end]
            told = runs[row.window].legs[name]["target_exposure"][row.start : row.end]
            np.testing.assert_array_equal(got, told)


def test_what_comes_later_changes_no_earlier_choice() -> None:
    markets, accounts = market_of(2)
    frames = {name: view.bars for name, view in markets.views.items()}
    cut = markets.index[110]
    frames["B1"] = frames["B1"].loc[frames["B1"].index < cut]
    whole = walked(markets, accounts).windows
    other = walked(dl.markets(frames, timeframe="1d"), accounts).windows
    done = whole["end"] < cut
    assert done.any()
    assert not done.all()
    pd.testing.assert_frame_equal(whole[done], other[: int(done.sum())], check_exact=True)


def test_shifted_walks_travel_and_shift_all_symbols_together() -> None:
    markets, accounts = market_of(2)
    one = asked(markets, accounts)
    wanted = one.wanted()
    first = int(wanted.begins.min())
    cut = windows(markets.index, first, Pace(**PACE))
    parts = parts_of(markets.index, "1d", first, cut, one.ground.parts)
    sums = one.sums_over(parts, wanted, first)
    there = pickle.loads(pickle.dumps(sums))(wanted, first, 0.25)
    np.testing.assert_array_equal(there, sums(wanted, first, 0.25))
    # By hand: the exposures of one combination, as many bars later, run alone.
    own = wanted.rows[0, wanted.begins[0] : -1]
    rows = np.zeros(wanted.rows.shape[1:])
    rows[wanted.begins[0] : -1] = np.roll(own, round(0.25 * len(own)), axis=0)
    target = pd.DataFrame(rows[1:], index=markets.index, columns=wanted.names)
    run = dl.backtest(
        markets, target, account=accounts, start=markets.index[wanted.begins[0]]
    ).evaluation.backtest
    a, b = parts.rows["out_0"]
    grown = np.log1p(run.returns[markets.index[a] : markets.index[b - 1]]).sum()
    place = list(parts.rows).index("out_0")
    assert there[0, place, 2] == pytest.approx(grown, rel=1e-9)


def test_what_a_walk_over_several_symbols_does_not_take() -> None:
    markets, _ = market_of(2)

    def stopped(market: dl.MarketView, *, window: int = 5) -> pd.DataFrame:
        close = market.bars["close"]
        return pd.DataFrame({"exposure": 1.0, "stop_price": 0.9 * close.rolling(window).min()})

    with pytest.raises(InputError, match="holds exposures; this strategy names orders"):
        dl.walk_forward(markets, stopped, AXES, shifts=0, **PACE)
    with pytest.raises(InputError, match="go with several markets; got one"):
        dl.walk_forward(markets["D0"], stopped, AXES, margin="isolated", **PACE)
    with pytest.raises(InputError, match="needs a strategy and axes"):
        dl.walk_forward(markets, strongest, {"portfolio.days": [3]}, **PACE)


@pytest.mark.drawn(True)
@pytest.mark.otherwise(True)
def test_a_study_is_walked_stored_and_read_by_the_verdict(workspace: Workspace, capsys) -> None:
    markets, _ = market_of(2)
    for name in ("D0", "B1"):
        workspace.catalog.add(markets[name].bars, f"made/ohlcv/{name}/USDT/1d")
    legs = "\n".join(f'{name} = "made/ohlcv/{name}/USDT/1d"' for name in ("D0", "B1"))
    text = f'strategy = "momentum_rank"\n[legs]\n{legs}\n[params]\ncount = 1\nevery = "1d"\n'
    path = workspace.backtests / "ranks.toml"
    path.write_text(f"{text}[sweep.params]\ndays = [5, 10]\n")
    run = dl.run(path, {"counterfactuals": ["costs x2"]})
    words = ["--window", "40", "--step", "30", "--workers", "1"]
    assert main(["walk", "backtests/ranks.toml", *words]) == 0
    said = capsys.readouterr().out
    assert "Chosen anew every 30 days" in said.replace("\n", " ")
    assert "* Of less than a year: a speed, not a forecast." in said
    kept = dl.result(next(name for name in dl.runs().frame.index if name.startswith("walks/")))
    summary = next(path for path in kept.export(workspace.root / "out") if path.suffix == ".md")
    assert summary.read_text().startswith("# ranks: walk\n\nChosen anew every 30 days")
    (page,) = (workspace.results / "walks").glob("*/walk.html")
    assert page.read_text().count("shifted walks do as well in") == 1  # its own rung
    told = {rung.name: rung.figure for rung in dl.verdict(run).rungs}
    assert "shifted walks do as well in" in told["chosen out of sample"]
    path.write_text(
        f"{text}[sweep.params]\ndays = [5]\n[sweep.portfolio]\nrebalance_band = [0.1]\n"
    )
    with pytest.raises(ConfigError, match=r"and none of \[sweep.costs\]"):
        dl.walk_forward(path)
