"""Sweeps of several symbols: every row is the run it stands for, in a notebook and from a study."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.cli.app import main
from delever.errors import ConfigError, InputError
from delever.panel import Lifetime
from delever.study.ledger.trials import read_markets, read_trials
from delever.study.portfolios.joint_run import asked_params
from delever.study.portfolios.joint_simulation import joint_rule
from delever.study.settings.portfolio_config import load_any_study
from delever.study.sweeps.sweep_task import swept_study
from delever.study.workspaces.any_strategy import as_strategy
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace
from delever.venues.slippage import VolatilitySlippage

pytestmark = [
    pytest.mark.xdist_group("portfolio"),  # its loop is compiled in one process
    pytest.mark.drawn(False),
    pytest.mark.otherwise(False),
]

DAYS = pd.date_range("2020-01-01", periods=420, tz="UTC", name="open_time")
RANK = '''\
import pandas as pd

from delever.panel import Markets


def rank(markets: Markets, *, window: int = 20, top: int = 1) -> pd.DataFrame:
    """The best of the last days, in equal parts."""
    close = markets.panel("close")
    moved = close / close.shift(window) - 1.0
    best = moved.rank(axis=1, ascending=False) <= top
    return best.astype(float).where(moved.notna()) / top
'''


STOPPED = '''\
import pandas as pd

from delever.view import MarketView


def stopped(market: MarketView, *, window: int = 20) -> pd.DataFrame:
    """Held, and out under nine tenths of the lowest close of some days."""
    low = market.bars["close"].rolling(window, min_periods=1).min()
    return pd.DataFrame({"exposure": 1.0, "stop_price": 0.9 * low}, index=market.index)
'''


@pytest.fixture(autouse=True)
def few_shifts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delever.research.luck.ONE_BY_ONE", 39)


def bars(seed: int) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(0.04 * chance.standard_normal(len(DAYS))))
    ends = np.stack([np.append(100.0, close[:-1]), close])
    return pd.DataFrame(
        {
            "open": ends[0],
            "high": ends.max(axis=0) * 1.01,
            "low": ends.min(axis=0) / 1.01,
            "close": close,
            "volume": 1.0,
        },
        index=DAYS,
    )


def above(market: dl.MarketView, *, window: int = 20) -> pd.Series:
    close = market.bars["close"]
    mean = close.rolling(window).mean()
    return (close > mean).astype(float).where(mean.notna())


def compared(sweep: dl.Sweep, row: int, run: dl.Run) -> None:
    """A row beside the metrics of the run."""
    for name in ("total_return", "sharpe_ratio", "max_drawdown", "turnover", "trades"):
        for scope, table in (("whole", ""), ("inside", "inside_"), ("outside", "outside_")):
            if scope == "whole" or f"{table}{name}" in sweep.frame:
                got, told = sweep.frame[f"{table}{name}"].iloc[row], run.metrics.loc[name, scope]
                np.testing.assert_allclose(got, told, rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_a_sweep_of_a_notebook_chooses_among_its_rows():
    markets = dl.markets({name: bars(seed) for seed, name in enumerate("ABC")}, timeframe="1d")
    axes: dict[str, Any] = {
        "window": [10, 40],
        "costs.taker_fee": [0.0, 0.003],
        "portfolio.rebalance_band": [0.05, 0.3],
    }
    sweep = dl.sweep(markets, above, axes)
    assert (sweep.frame["error"] == "").all()
    assert sweep.terrain is not None
    assert sweep.benchmark is not None
    assert "3 symbols, margin cross" in sweep.about["Account"]
    assert "rebalance band 0.05 or 0.3" in sweep.html()


@pytest.mark.parametrize("mode", ["separate", "isolated"])
def test_rows_of_a_notebook_are_runs_in_every_margin(mode: str):
    markets = dl.markets({name: bars(seed) for seed, name in enumerate("ABC")}, timeframe="1d")
    found = dl.sweep(markets, above, {"window": [10, 40]}, margin=mode, start="2020-02-01")
    for row, window in enumerate((10, 40)):
        run = dl.backtest(markets, above, window=window, margin=mode, start="2020-02-01")
        compared(found, row, run)


def test_a_row_with_orders_is_the_run_and_says_what_it_did_not_count():
    def stopped(market: dl.MarketView, *, window: int = 20) -> pd.DataFrame:
        held = above(market, window=window)
        stop = 0.9 * market.bars["close"].where(held > 0.0)
        return pd.DataFrame({"exposure": held, "stop_price": stop})

    markets = dl.markets({name: bars(seed) for seed, name in enumerate("AB")}, timeframe="1d")
    found = dl.sweep(markets, stopped, {"window": [10, 40]})
    compared(found, 1, dl.backtest(markets, stopped, window=40))
    assert found.frame["below_a_lot"].isna().all()


def test_a_wallet_is_a_share_of_what_a_run_can_hold():
    made = {name: bars(seed) for seed, name in enumerate("ABC")}
    made["C"] = made["C"].iloc[:30]
    gone = {"C": Lifetime(delisted=DAYS[30])}
    markets = dl.markets(made, lifetimes=gone, timeframe="1d")
    found = dl.sweep(markets, above, {"window": [10, 40]}, margin="separate")
    for row, window in enumerate((10, 40)):
        compared(found, row, dl.backtest(markets, above, window=window, margin="separate"))


def test_trials_are_as_many_as_combinations_though_a_rule_has_a_parameter_called_alike(
    workspace: Workspace,
):
    def risen(market: dl.MarketView, *, days: int = 5) -> pd.Series:
        return (market.bars["close"].diff(days) > 0.0).astype(float)

    strategy = as_strategy(risen, workspace=workspace)
    assert isinstance(strategy, Strategy)
    told = []
    for days, behind in ((5, 5), (5, 9), (9, 5), (9, 9)):
        own: dict[str, Any] = {"rule": "inverse_volatility", "rule_params": {"days": behind}}
        told.append(asked_params(joint_rule(strategy, {"days": days}, **own, place=workspace)))
    assert len({json.dumps(one, sort_keys=True) for one in told}) == 4


def test_axes_reach_legs_with_tables_of_their_own(workspace: Workspace):
    for seed, name in enumerate(("AAA", "BBB")):
        workspace.catalog.add(bars(seed), f"made/ohlcv/{name}/USDT/1d")
    head = 'strategy = "buy_and_hold"\n[legs.AAA]\ndata = "made/ohlcv/AAA/USDT/1d"\n[legs.BBB]\n'
    head += 'data = "made/ohlcv/BBB/USDT/1d"\n'
    own = "[legs.AAA.account]\nstop_loss = {}\n[legs.BBB.costs]\ntaker_fee = {}\n"
    path = workspace.backtests / "legs.toml"
    path.write_text(
        head + own.format(0.5, 0.002) + "[sweep.account]\nstop_loss = [0.05, 0.3]\n"
        "[sweep.costs]\ntaker_fee = [0.0, 0.001]\n"
    )
    swept = dl.sweep(path, workers=1, workspace=workspace)
    assert swept.frame["total_return"].nunique() == 4
    (row,) = swept.frame.query("`account.stop_loss` == 0.05 and `costs.taker_fee` == 0.001").index
    said = "[account]\nstop_loss = 0.05\n[costs]\ntaker_fee = 0.001\n"
    (workspace.backtests / "one.toml").write_text(head + own.format(0.05, 0.001) + said)
    compared(swept, int(row), dl.run(workspace.backtests / "one.toml", workspace=workspace))
    path.write_text(head + "[sweep.account]\nleverage = [2]\n")
    with pytest.raises((ConfigError, InputError), match="leverage 2 needs a contract"):
        dl.sweep(path, workers=1, workspace=workspace)


@pytest.mark.otherwise(True)
def test_a_study_is_swept_stored_read_back_and_refuses_what_it_does_not_cover(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
):
    for seed, name in enumerate(("AAA", "BBB", "CCC")):
        workspace.catalog.add(bars(seed), f"made/ohlcv/{name}/USDT/1d")
    (workspace.strategies / "rank.py").write_text(RANK)
    legs = "\n".join(f'{n} = "made/ohlcv/{n}/USDT/1d"' for n in ("AAA", "BBB", "CCC"))
    text = f'strategy = "rank"\nmargin = "isolated"\n[legs]\n{legs}\n[params]\nwindow = 15\n'
    sweep = (
        "[sweep.params]\ntop = [1, 2]\n[sweep.account]\nstop_loss = [0.1, 0.3]\n"
        '[sweep.portfolio]\nmargin = ["isolated", "cross"]\n'
    )
    path = workspace.backtests / "ranks.toml"
    path.write_text(text + sweep)
    assert main(["sweep", "backtests/ranks.toml", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["combinations"], told["failed"], told["n_trials"]) == (8, 0, 8)
    again = dl.sweep(path, workers=2, workspace=workspace)
    assert again.resumed == 8
    read = dl.result("ranks", workspace=workspace)
    assert read.name == "ranks"
    summary = next(path for path in read.export(workspace.root / "out") if path.suffix == ".md")
    assert summary.read_text().startswith("# ranks: sweep\n\nThe best of 8 combinations")
    place = again.frame.query(
        "`params.top` == 2 and `account.stop_loss` == 0.1 and `portfolio.margin` == 'cross'"
    )
    own = text.replace("isolated", "cross") + "top = 2\n[account]\nstop_loss = 0.1\n"
    (workspace.backtests / "one.toml").write_text(own)
    run = dl.run(workspace.backtests / "one.toml", workspace=workspace)
    compared(again, int(place.index[0]), run)
    assert run.manifest["n_trials"] == 8  # it was tried already
    told = {rung.name: rung for rung in dl.verdict(run, workspace=workspace).rungs}
    assert told["after deflation"].passed is None  # the sweep speaks of other accounts
    (workspace.backtests / "tops.toml").write_text(f"{text}[sweep.params]\ntop = [1, 2]\n")
    dl.sweep(workspace.backtests / "tops.toml", workers=1, workspace=workspace)
    told = {rung.name: rung for rung in dl.verdict(run, workspace=workspace).rungs}
    assert told["after deflation"].figure == "no sweep of it holds this account alone"
    (workspace.backtests / "tops.toml").write_text(f"{own}[sweep.params]\ntop = [1, 2]\n")
    tops = dl.sweep(workspace.backtests / "tops.toml", workers=1, workspace=workspace)
    told = {rung.name: rung for rung in dl.verdict(run, workspace=workspace).rungs}
    assert f"{tops.deflation.above:+.2f} of Sharpe ratio" in told["after deflation"].figure
    assert told["chosen out of sample"].figure == ""
    fresh = dl.sweep(path, workers=2, fresh=True, workspace=workspace)
    pd.testing.assert_frame_equal(fresh.frame, again.frame)
    with pytest.raises(ConfigError, match="of several symbols sweep in processes"):
        dl.sweep(path, cluster="local:1", fresh=True, workspace=workspace)
    alone = 'strategy = "buy_and_hold"\ndata = "made/ohlcv/AAA/USDT/1d"\n'
    path.write_text(alone + "[sweep.portfolio]\nrebalance_band = [0.1]\n")
    with pytest.raises(ConfigError, match="goes with a study of several symbols"):
        dl.sweep(path, workspace=workspace)


def half_or_more(market: dl.MarketView, *, window: int = 20, stop: float = 0.0) -> Any:
    """Never flat once it decides; with a stop, a strategy that names orders."""
    close = market.bars["close"]
    mean = close.rolling(window).mean()
    asked = (0.3 + 0.6 * (close > mean)).where(mean.notna())
    if not stop:
        return asked
    return pd.DataFrame({"exposure": asked, "stop_price": close * (1.0 - stop)})


def one_of(markets: dl.Markets, *, window: int = 20, stop: float = 0.0) -> pd.DataFrame:
    asked = half_or_more(markets.views["A"], window=window, stop=stop)
    if isinstance(asked, pd.Series):
        return pd.DataFrame({"A": asked, "B": asked * 0.0})
    flat = asked.assign(exposure=asked["exposure"] * 0.0, stop_price=np.nan)
    return pd.concat({"A": asked, "B": flat}, axis=1)


@pytest.mark.parametrize("start", [None, "2020-01-20", "2020-06-01"])
def test_after_a_warmup_a_portfolio_that_holds_one_symbol_is_its_single_run(start: str | None):
    markets = dl.markets({name: bars(seed) for seed, name in enumerate("AB")}, timeframe="1d")
    costs = dl.Costs(taker_fee=0.001, parts=(VolatilitySlippage(share=0.1, bars=5),))
    told: dict[str, Any] = {"start": start, "costs": costs}
    runs: dict[tuple[int, float], dl.Run] = {}
    for stop in (0.0, 0.07):
        run = dl.backtest(markets, one_of, window=30, stop=stop, benchmark="A", **told)
        runs[30, stop] = run
        alone = dl.backtest(markets["A"], half_or_more, window=30, stop=stop, **told)
        for both in ("backtest", "benchmark"):
            got, want = (getattr(each.evaluation, both).equity for each in (run, alone))
            np.testing.assert_array_equal(got, want)
            assert got.index.equals(want.index)
    # Rows of a sweep, of which some are run by themselves, for the orders that they name.
    sweep = dl.sweep(markets, one_of, {"window": [10, 30], "stop": [0.0, 0.07]}, **told)
    for row, (window, stop) in enumerate(
        zip(sweep.frame["window"], sweep.frame["stop"], strict=True)
    ):
        found = runs.get((window, stop))
        found = found or dl.backtest(markets, one_of, window=int(window), stop=float(stop), **told)
        compared(sweep, row, found)


def test_a_study_is_cut_small_only_where_its_strategy_names_orders(workspace: Workspace):
    for seed, name in enumerate(("AAA", "BBB")):
        workspace.catalog.add(bars(seed), f"made/ohlcv/{name}/USDT/1d")
    (workspace.strategies / "rank.py").write_text(RANK)
    (workspace.strategies / "stopped.py").write_text(STOPPED)
    legs = "\n".join(f'{name} = "made/ohlcv/{name}/USDT/1d"' for name in ("AAA", "BBB"))
    values, slow = list(range(5, 25)), {}
    for name in ("rank", "stopped"):
        path = workspace.backtests / f"{name}.toml"
        path.write_text(f'strategy = "{name}"\n[legs]\n{legs}\n[sweep.params]\nwindow = {values}\n')
        swept = swept_study(load_any_study(path, {}), workspace)
        slow[name] = swept.ground.slow(swept.combination({"params.window": 5}))
    assert slow == {"rank": False, "stopped": True}
    found = dl.sweep(workspace.backtests / "rank.toml", workers=1, workspace=workspace)
    assert found.folder is not None
    assert len(list((found.folder / "chunks").iterdir())) == 1


def test_sweeps_under_other_rules_are_other_families(workspace: Workspace):
    markets = dl.markets({name: bars(seed) for seed, name in enumerate("AB")}, timeframe="1d")
    for rule in ("equal", "equal", "capped"):
        dl.sweep(markets, above, {"window": [10, 40]}, rule=rule, workspace=workspace)
    [known] = read_markets(workspace.trials)
    families = [said["family"] for said, _ in read_trials(workspace.trials, known.id)]
    assert sorted(map(families.count, set(families))) == [2, 2]


def test_what_is_no_axis_of_several_symbols_is_refused():
    markets = dl.markets({name: bars(seed) for seed, name in enumerate("AB")}, timeframe="1d")
    with pytest.raises(InputError, match=r"portfolio\.NAME"):
        dl.sweep(markets, above, {"account.funding": ["x"]})
    with pytest.raises(InputError, match="target exposures take no parameters"):
        dl.sweep(markets, markets.panel() * 0.0, {"window": [1]})
    with pytest.raises(InputError, match="go with several markets"):
        dl.sweep(markets["A"], above, {"window": [10]}, rule="equal")


@pytest.mark.parametrize(
    ("axes", "also", "said"),
    [
        ({"portfolio.rule": [3]}, {}, "rule must be .* got 3"),
        ({"portfolio.rebalance_band": ["x"]}, {}, "rebalance_band must be at least 0.*'x'"),
        ({"portfolio.rebalance_band": [float("nan")]}, {}, "rebalance_band must be .*nan"),
        ({"window": [9], "params.window": [30]}, {}, "must be there once"),
        ({"window": [9]}, {"initial_equity": 0.0}, "initial_equity must be from"),
        ({"window": [9]}, {"initial_equity": "a"}, "initial_equity must be a number"),
        ({"window": [9]}, {"costs": 3}, r"costs must be dl\.Costs"),
    ],
)
def test_what_is_wrong_of_a_sweep_at_hand_is_refused_before_the_first_run(axes, also, said):
    markets = dl.markets({name: bars(seed) for seed, name in enumerate("AB")}, timeframe="1d")
    with pytest.raises((ConfigError, InputError), match=said):
        dl.sweep(markets, above, axes, **also)


def test_a_study_file_takes_no_axes_beside_it():
    with pytest.raises(InputError, match="got strategy, axes beside it"):
        dl.sweep("backtests/x.toml", above, {"window": [9]})
