"""Walk forward: choices blind to what comes after, one account, seams that cost what they cost."""

from __future__ import annotations

import itertools
import json
import pickle
from concurrent.futures import Executor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import delever as dl
from delever.cli.app import main
from delever.report.pages.walk_page import windows_table
from delever.research.walking import Pace, windows
from delever.signals import indicators

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

WEEKS = [5, 10, 20, 40]
PACE = {"window": 400, "step": 180, "embargo": 10, "shifts": 39}
SHORT = {"window": 200, "step": 90, "shifts": 0}


@pytest.fixture(scope="module")
def market():
    return dl.market("sample/ohlcv/BTC/USD/1d", start="2012-01-01", end="2016-01-01")


@pytest.fixture(scope="module")
def walk(market):
    made = dl.walk_forward(market, "ma200w_break", {"weeks": WEEKS, "average": ["sma"]}, **PACE)
    assert made.run.answer  # asked here, where no mark leaves anything out
    return made


def alone(market, weeks: int) -> pd.Series:
    """Returns of one combination as a run of its own, with 0 before it begins."""
    run = dl.backtest(market, "ma200w_break", weeks=weeks, average="sma")
    return run.evaluation.backtest.returns


def test_each_window_chooses_what_single_runs_would(market, walk) -> None:
    returns = {weeks: alone(market, weeks) for weeks in WEEKS}
    assert len(walk.windows) > 3
    for row in walk.windows.itertuples():
        ratios = {}
        for weeks, own in returns.items():
            fit = own[row.fit_start : row.fit_end]
            if own.index[0] <= row.fit_start + (row.fit_end - row.fit_start) / 2:
                ratios[weeks] = fit.mean() / fit.std(ddof=1)
        best = max(ratios, key=ratios.__getitem__)
        assert row.weeks == best
        assert row.chosen_by == pytest.approx(ratios[best], rel=1e-6)
        days = (row.end - row.start).days + 1
        made = np.prod(1.0 + returns[best][row.start : row.end])
        assert row.growth == pytest.approx(made ** (365 / days) - 1.0, rel=1e-6)
    gaps = walk.windows["start"] - walk.windows["fit_end"]
    assert (gaps >= pd.Timedelta(days=PACE["embargo"])).all()


def test_the_choices_are_one_account(market, walk) -> None:
    run = walk.run
    held = run.evaluation.backtest.ledger["exposure"]
    assert run.evaluation.span[0] == walk.windows["start"].iloc[0]
    for row in walk.windows.itertuples():
        target = dl.strategy("ma200w_break").target(market, {"weeks": row.weeks, "average": "sma"})
        wanted = target.shift()[row.start : row.end].to_numpy() > 0.0
        assert ((held[row.start : row.end] > 0.5).to_numpy() == wanted).all()


@pytest.mark.otherwise(True)
def test_workers_walk_as_one_process_does(market, walk) -> None:
    axes = {"weeks": WEEKS, "average": ["sma"]}
    two = dl.walk_forward(market, "ma200w_break", axes, workers=2, **PACE)
    assert two.shifted == walk.shifted  # bit for bit
    pd.testing.assert_frame_equal(two.windows, walk.windows, check_exact=True)
    assert json.dumps(two.to_dict()) == json.dumps(walk.to_dict())


def test_a_seam_pays_for_changing_over() -> None:
    """Two rules at odds, prices that never move: each change at a seam costs one fee."""
    index = pd.date_range("2020-01-01", periods=200, tz="UTC", name="open_time")
    rise = np.full(200, 100.0) + np.where(np.arange(200) // 50 % 2, 1e-3, -1e-3).cumsum()
    bars = pd.DataFrame(
        {"open": rise, "high": rise + 1, "low": rise - 1, "close": rise, "volume": 1.0}, index=index
    )
    market = dl.market(bars, timeframe="1d", symbol="X/Y")

    def side(market: dl.MarketView, *, long: int = 1) -> pd.Series:
        return pd.Series(float(long), index=market.index)

    walk = dl.walk_forward(
        market,
        side,
        {"long": [0, 1]},
        window=40,
        step=50,
        embargo=0,
        choose="growth",
        costs=dl.Costs(taker_fee=0.01, slippage=0.0),
        shifts=0,
    )
    chosen = walk.windows["long"].tolist()
    fills = walk.run.evaluation.backtest.fills
    changes = int(np.abs(np.diff([0.0, *chosen])).sum())
    assert 1 < changes == len(fills)
    fee = fills["fee"].sum() / (fills["quantity"].abs() * fills["price"]).sum()
    assert fee == pytest.approx(0.01)
    seams = set(walk.windows["start"])
    assert set(fills.get("time", fills.index)) <= seams


def test_a_walk_asks_for_many_combinations_at_once(market) -> None:
    asked = itertools.count()

    def above(market: dl.MarketView, *, days: int = 20) -> pd.Series:
        next(asked)
        average = indicators.sma(market.bars["close"], days)
        return (market.bars["close"] > average).astype(float).where(average.notna())

    axes = {"days": range(5, 65)}
    dl.walk_forward(market, above, axes, window=730, shifts=0)
    assert next(asked) < len(axes["days"]) / 2


@pytest.mark.few(4)
@settings(max_examples=200)
@given(seed=st.integers(0, 10_000), cut=st.integers(450, 700), ordered=st.booleans())
def test_the_future_changes_no_earlier_choice(seed: int, cut: int, ordered: bool) -> None:
    rng = np.random.default_rng(seed)
    index = pd.date_range("2018-01-01", periods=750, tz="UTC", name="open_time")

    def market_of(returns: np.ndarray) -> dl.MarketView:
        close = 100.0 * np.exp(returns.cumsum())
        opened = np.append(100.0, close[:-1])
        high, low = np.maximum(opened, close) * 1.01, np.minimum(opened, close) * 0.99
        table = {"open": opened, "high": high, "low": low, "close": close, "volume": 1.0}
        return dl.market(pd.DataFrame(table, index=index), timeframe="1d", symbol="X/Y")

    def above(market: dl.MarketView, *, days: int = 20) -> pd.Series:
        close = market.bars["close"]
        average = close.rolling(days).mean()
        asked = (close > average).astype(float).where(average.notna())
        if not ordered:
            return asked
        entered = average.where(asked.diff().fillna(asked) > 0.0).ffill()
        orders = {"stop_price": entered, "take_profit_price": 1.5 * close, "time_stop": 40.0}
        return pd.DataFrame({"exposure": asked, **orders})

    returns = rng.normal(0.0, 0.03, len(index))
    changed = np.append(returns[:cut], rng.normal(0.01, 0.06, len(index) - cut))
    one, other = (
        dl.walk_forward(
            market_of(each), above, {"days": [5, 20, 80]}, window=300, step=90, shifts=0
        )
        for each in (returns, changed)
    )
    before = one.windows["fit_end"] < index[cut]
    assert before.sum() > 1
    pd.testing.assert_series_equal(one.windows["days"][before], other.windows["days"][before])
    equity = [walk.run.equity[: index[cut - 1]] for walk in (one, other)]
    np.testing.assert_allclose(*equity, rtol=1e-12)


ORDERED = (
    ("level_ladder", {"stop": [0.05, 0.15, 0.3]}, None),
    (
        "short_the_break",
        {"stop": [None, 0.02, 0.1], "weeks": [8]},
        dl.Account(
            contract="BTC/USDT:USDT",
            rules="generic",
            leverage=2.0,
            bounds=True,
            funding_policy="missing-is-zero",
        ),
    ),
)


def assert_same(one: dl.Run, other: dl.Run) -> None:
    """The same account, to the last bit."""
    runs = [run.evaluation.backtest for run in (one, other)]
    for table in ("ledger", "fills", "trades"):
        pd.testing.assert_frame_equal(*(getattr(run, table) for run in runs), check_exact=True)


@pytest.mark.parametrize(("name", "axes", "account"), ORDERED)
def test_orders_of_a_choice_hold_in_its_windows(market, name, axes, account) -> None:
    pace = {"window": 300, "step": 90, "shifts": 0, "account": account, "choose": "growth"}
    walk = dl.walk_forward(market, name, axes, **pace)
    assert walk.windows["stop"].nunique(dropna=False) > 1
    strategy = dl.strategy(name)
    params = [{axis: row[axis] for axis in axes} for row in walk.axes.to_dict("records")]
    params = [{k: None if pd.isna(v) else v for k, v in one.items()} for one in params]
    asked = [strategy.target(market, one) for one in params]
    asked = [one if isinstance(one, pd.DataFrame) else one.to_frame("exposure") for one in asked]
    rows = [
        asked[row.chosen].shift()[row.start : row.end] if row.chosen >= 0 else None
        for row in walk.windows.itertuples()
    ]
    held = pd.concat([row for row in rows if row is not None]).reindex(market.index)
    held["exposure"] = held["exposure"].fillna(0.0)
    decided = held.shift(-1)
    decided.iloc[-1] = held.iloc[-1]
    start = walk.windows["start"].iloc[0]
    same = dl.backtest(market, decided, account=account, start=start)
    assert (same.evaluation.backtest.fills["reason"] != "target").any()
    assert_same(walk.run, same)


@pytest.mark.parametrize(("name", "axes", "account"), ORDERED)
def test_a_walk_of_one_combination_is_its_run(market, name, axes, account) -> None:
    one = {axis: values[-1:] for axis, values in axes.items()}
    pace = {"window": 300, "step": 90, "shifts": 0, "account": account}
    walk = dl.walk_forward(market, name, one, **pace)
    start = walk.windows["start"].iloc[0]
    params = {axis: value for axis, [value] in one.items()}
    plain = dl.backtest(market, name, account=account, start=start, **params)
    assert_same(walk.run, plain)


def test_a_stop_that_the_seam_has_passed_is_not_entered() -> None:
    """Always long with a stop that was met long before: no venue takes that order at a seam."""
    index = pd.date_range("2020-01-01", periods=240, tz="UTC", name="open_time")
    price = np.concatenate([np.linspace(100, 200, 100), np.linspace(200, 40, 60), [40.0] * 80])
    bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], price), index=index)
    market = dl.market(bars.assign(volume=1.0), timeframe="1d", symbol="X/Y")

    def rule(market: dl.MarketView, *, stop: float = 90.0, again: bool = False) -> pd.DataFrame:
        asked = pd.Series(1.0, index=market.index)
        asked[200:] = 0.5 if again else 1.0
        stops = asked * 0.0 + stop
        stops[200:] = 30.0 if again else stop
        return pd.DataFrame({"exposure": asked, "stop_price": stops})

    pace = {"window": 150, "step": 30, "embargo": 0, "shifts": 0}
    walk = dl.walk_forward(market, rule, {"stop": [90.0]}, **pace)
    assert walk.run.evaluation.backtest.fills.empty
    walk = dl.walk_forward(market, rule, {"stop": [90.0], "again": [True]}, **pace)
    assert walk.run.evaluation.backtest.fills["time"].tolist() == [
        index[201]
    ]  # as its exposure changes


class Elsewhere(Executor):
    """Runs what was written down and read again, as a worker does."""

    def map(self, fn, *iterables, **_):
        return map(pickle.loads(pickle.dumps(fn)), *iterables)


def test_walks_of_orders_are_shifted_by_workers_as_here(market) -> None:
    pace = {"window": 500, "step": 300, "shifts": 4}
    here, there = (
        dl.walk_forward(market, "level_ladder", {"stop": [0.1, 0.2]}, cluster=where, **pace)
        for where in (None, Elsewhere())
    )
    assert len(set(here.shifted)) == 4
    assert here.shifted == there.shifted


def test_lengths_that_do_not_fit_are_refused(market) -> None:
    index = market.index
    assert len(windows(index, 0, Pace(window=400, step=300))) == 6  # from 2010-07-18, warm-up too
    for wrong, said in (
        ({"window": 5_000}, "at least two choices"),
        ({"window": 99_999}, "at least two choices"),
        ({"step": 99_999_999_999}, "at least two choices"),
        ({"window": 3}, "at least 30"),
        ({"step": 0}, "at least 1"),
        ({"choose": "luck"}, "choose must be one of"),
        ({"trades": 9_999}, "9999 closed trades"),
    ):
        with pytest.raises(dl.DeleverError, match=said):
            dl.walk_forward(market, "ma200w_break", {"weeks": [5, 10]}, **{**PACE, **wrong})
    with pytest.raises(dl.DeleverError, match="axes of its parameters"):
        dl.walk_forward(market, "ma200w_break", {"costs.taker_fee": [0.1]})


def test_more_ways_to_choose(market, walk) -> None:
    grown = dl.walk_forward(
        market, "ma200w_break", {"weeks": WEEKS}, **SHORT, choose="growth", plateau=True, trades=1
    )
    assert grown.windows["fit_start"].nunique() == len(grown.windows)
    anchored = dl.walk_forward(
        market, "ma200w_break", {"weeks": WEEKS}, **{**PACE, "shifts": 0}, anchored=True
    )
    assert anchored.windows["fit_start"].nunique() == 1
    assert 0.0 < walk.p_value <= 1.0
    assert len(walk.shifted) == PACE["shifts"]


@pytest.mark.drawn(True)
def test_the_command_line_stores_a_page(workspace, capsys) -> None:
    (workspace.root / "backtests" / "grid.toml").write_text(
        'strategy = "ma200w_break"\ndata = "sample/ohlcv/BTC/USD/1d"\nend = 2015-01-01\n'
        "[sweep.params]\nweeks = [10, 20, 30]\n"
    )
    words = ["walk", "backtests/grid.toml", "--window", "500", "--workspace", str(workspace.root)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "Chosen anew every 365 days on the 500 days before" in said
    tables = [line for line in said.splitlines() if line[:1] in "┏┃┡│└"]
    assert max(map(len, tables)) <= 80
    [stored] = dl.runs(kind="walk", workspace=workspace.root).frame.to_dict("records")
    page = (workspace.root / "backtests" / "results" / stored["page"]).read_text()
    assert "What was chosen" in page
    assert "Walk-forward efficiency" in page
    assert "The same walk on exposures shifted in time" in page


def test_growth_a_year_of_half_a_year_is_marked(walk) -> None:
    table = windows_table(walk)
    then = [table.header.index(name) for name in ("When held", "Holding")]
    assert all(row[place].endswith(" *") for row in table.texts for place in then)
    there = table.header.index("In its window")  # of 400 days
    assert not any(row[there].endswith(" *") for row in table.texts)
    assert table.caption.endswith("* Of less than a year: a speed, not a forecast.")


@pytest.mark.otherwise(True)
def test_wide_shows_the_columns_that_eighty_letters_drop(workspace, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (workspace.root / "backtests" / "grid.toml").write_text(
        'strategy = "ma200w_break"\ndata = "sample/ohlcv/BTC/USD/1d"\nstart = 2013-01-01\n'
        "end = 2018-01-01\n[sweep.params]\nweeks = [20, 30, 50]\n"
    )
    dl.sweep("backtests/grid.toml", workers=1)
    told = []
    for more in ([], ["--wide"], []):
        assert main(["select", "grid", *more]) == 0
        told.append(capsys.readouterr().out)
    assert "--wide shows them" in told[0]
    assert "not shown" not in told[1]
    assert "By payout" in told[1]
    assert told[2] == told[0]


def test_shifted_walks_tell_foresight_from_chance(market) -> None:
    """Of rules that know the next day, none shifted grows as much; of one always in, every one."""
    up = market.bars["close"].shift(-1) > market.bars["open"].shift(-1)

    def knowing(market: dl.MarketView, *, at_least: int = 1) -> pd.Series:
        return up.rolling(at_least).max().fillna(0.0).astype(float)

    def always(market: dl.MarketView, *, number: int = 1) -> pd.Series:
        return pd.Series(1.0, index=market.index)

    pace = {**PACE, "shifts": 19}
    assert dl.walk_forward(market, knowing, {"at_least": [1, 2]}, **pace).p_value == 1 / 20
    assert dl.walk_forward(market, always, {"number": [1, 2]}, **pace).p_value == 1.0
