"""A perpetual from its data to its page: attribution, costs in stress, what if, and sweeps."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.cli.app import main
from delever.engine.sweep_metrics import SWEPT, column_name
from delever.errors import ConfigError, InputError
from delever.research.protection import protection
from delever.research.what_if import Counterfactual, run_counterfactual
from delever.stats.metric import SCOPES
from delever.study.runs.neighbours import steps
from delever.study.runs.run import load_run
from delever.study.sweeps.sweep import sweep

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

SYMBOL = "BTC/USDT:USDT"
BARS, MARK = (f"made/{kind}/{SYMBOL}/4h" for kind in ("ohlcv", "mark"))
FUNDING = f"made/funding/{SYMBOL}/8h"
INDEX = pd.date_range("2021-04-01", "2021-06-30 20:00", freq="4h", tz="UTC", name="open_time")
STRATEGY = """
import pandas as pd
from delever.view import MarketView


def swing(market: MarketView, *, every: int = 30) -> pd.Series:
    place = pd.Series(range(len(market.index)), index=market.index)
    return (place // every % 4).map({0: 1.0, 1: 0.5, 2: 0.0, 3: -1.0})
"""
STUDY = f"""
strategy = "swing"
data = "{BARS}"
start = 2021-04-03

[account]
contract = "{SYMBOL}"
rules = "generic"
leverage = 10
exposure = 6
funding = "{FUNDING}"
mark = "{MARK}"
"""


def bars_from(steps: np.ndarray, chance: np.random.Generator) -> pd.DataFrame:
    close = 50_000.0 * np.exp(np.cumsum(steps))
    opened = np.append(50_000.0, close[:-1])
    wide = np.exp(0.004 * chance.random((2, len(steps))))
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * wide[0],
            "low": np.minimum(opened, close) / wide[1],
            "close": close,
            "volume": 100.0 + chance.random(len(steps)),
        },
        index=INDEX,
    )


@dataclass(frozen=True)
class Market:
    """A workspace and what is stored in it."""

    workspace: object
    bars: pd.DataFrame
    mark: pd.DataFrame
    rates: pd.Series

    def run(self, **overrides):
        settings = {key.replace("__", "."): value for key, value in overrides.items()}
        path = self.workspace.backtests / "perp.toml"
        return dl.run(path, workspace=self.workspace, set=settings, quick=True)


@pytest.fixture
def market(workspace) -> Market:
    """Three months of seeded 4 h bars with a crash, a mark that strays, rates of both signs."""
    chance = np.random.default_rng(11)
    steps = chance.normal(0.0, 0.012, len(INDEX))
    steps[INDEX.get_loc("2021-05-19 04:00")] = -0.2
    bars = bars_from(steps, chance)
    stray = np.exp(chance.normal(0.0, 0.001, (len(INDEX), 1)))
    mark = bars[["open", "high", "low", "close"]] * stray
    stamps = pd.date_range(INDEX[0], INDEX[-1], freq="8h", name="timestamp")
    rates = pd.Series(chance.normal(0.0001, 0.0004, len(stamps)), stamps, name="funding_rate")
    workspace.catalog.add(bars, BARS)
    workspace.catalog.add(mark, MARK)
    workspace.catalog.add(rates.to_frame(), FUNDING)
    (workspace.strategies / "swing.py").write_text(STRATEGY)
    (workspace.backtests / "perp.toml").write_text(STUDY)
    return Market(workspace, bars, mark, rates)


PERIODS = ("2021-04-flush", "2021-05-china")  # of the shipped catalogue


def bars_of(run, name: str) -> pd.DatetimeIndex:
    """Opens of the 4 h bars that lie in a period from its first to its last moment."""
    [period] = [one for one in run.evaluation.periods if one.id == name]
    opens = run.equity.index
    return opens[(opens >= period.start) & (opens + pd.Timedelta("4h") <= period.end)]


def test_attribution_is_the_sum_of_stored_fills_rates_and_prices(market) -> None:
    done = market.run()
    ledger, fills = (
        pd.read_parquet(done.folder / f"{name}.parquet") for name in ("equity", "fills")
    )
    rates = market.rates.reindex(ledger.index).fillna(0.0)
    marks = market.mark.loc[ledger.index]
    carried = ledger["position"].shift(fill_value=0.0)
    funding = -carried * marks["open"] * rates
    by_bar = fills.groupby("time")[["fee", "slippage"]].sum().reindex(ledger.index).fillna(0.0)
    table = done.attribution
    shown = {"whole": ledger.index}
    shown |= {name: bars_of(done, name) for name in PERIODS}
    assert [len(shown[name]) for name in PERIODS] == [66, 168]  # 11 and 28 days of six bars
    for scope, index in shown.items():
        row = table.loc[scope]
        assert row["funding"] == pytest.approx(funding.loc[index].sum(), rel=1e-9, abs=1e-9)
        for part in ("fee", "slippage"):
            assert row[part] == pytest.approx(-by_bar.loc[index, part].sum(), rel=1e-9, abs=1e-9)
        parts = row[["price_pnl", "funding", "fee", "slippage", "borrow", "liquidation"]]
        after = ledger["equity"].loc[index[-1]]
        before = ledger["equity"].shift(fill_value=10_000.0).loc[index[0]]
        assert parts.sum() == pytest.approx(after - before, rel=1e-9, abs=1e-7)
    assert "liquidation" in set(fills["reason"])
    assert (table.loc["whole", ["funding", "fee"]] != 0.0).all()


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_the_page_says_what_the_run_knew_and_what_it_was_held_to(market) -> None:
    done = market.run(account__bounds=True)
    page = (done.folder / "tearsheet.html").read_text(encoding="utf-8")
    ambiguous = int(done.evaluation.backtest.ledger["ambiguous"].sum())
    for said in (
        "resolution: 4h bars, whose inside was not seen",
        "mark: the mark price",
        "funding: settled at every stamp of the run",
        f"ambiguous bars: {ambiguous}",
        "what the bars hid",
        "Rules it was held to",
        "any size: margin 0.50%, at most 100x",
        "Nobody pays or receives funding.",
    ):
        assert said in page, said
    assert "worst the bars allow" in {curve.name for curve in done.figures["history"].data}
    assert 'class="alarm"' not in page


@pytest.mark.drawn(True)
def test_rules_older_than_the_book_are_marked_as_assumed(market) -> None:
    book = market.workspace.root / "data" / "venues" / "generic.toml"
    text = book.read_text().replace("assume_before = false", "assume_before = true")
    head, cut, margin = text.partition("[[margin]]")
    book.write_text(head + cut + margin.replace("2009-01-03", "2021-05-01"))
    done = market.run()
    first, second = done.manifest["simulation"]["backtest"]["rules"]
    assert (first["from"], first["fees_since"], first["brackets_since"]) == (
        *("2021-04-03", "2009-01-03"),
        None,
    )
    assert (second["from"], second["brackets_since"]) == ("2021-05-01", "2021-05-01")
    page = (done.folder / "tearsheet.html").read_text(encoding="utf-8")
    assert page.count('<td class="txt loss">assumed</td>') == 1
    assert "brackets of BTC/USDT:USDT from 2021-05-01 were used from 2021-04-03 on" in page


@pytest.mark.otherwise(True)
def test_costs_x2_on_the_command_line_pays_twice(market, capsys) -> None:
    documents = []
    for words in ([], ["--costs", "x2"], ["--set", "costs_times=2"]):
        assert main(["run", "backtests/perp.toml", "--json", *words]) == 0
        documents += json.loads(capsys.readouterr().out)
    plain, stressed, same = documents
    assert stressed["run_id"] == same["run_id"] != plain["run_id"]
    assert stressed["notes"][0].startswith("costs x2")
    fill = pd.read_parquet(f"{stressed['folder']}/fills.parquet").iloc[0]
    # The generic venue's taker fee of 0.05 %, twice; no slippage is said.
    assert fill["fee"] / fill["notional"] == pytest.approx(2 * 0.0005, rel=1e-12)
    held = pd.read_parquet(f"{stressed['folder']}/benchmark_fills.parquet").iloc[0]
    assert held["fee"] / held["notional"] == pytest.approx(2 * 0.001, rel=1e-12)
    opened = market.bars.loc[held["time"], "open"]
    assert held["price"] / opened - 1.0 == pytest.approx(2 * 0.0005, rel=1e-9)
    *parts, change, before = stressed["attribution"]["2021-05-china"].values()
    assert sum(parts) == pytest.approx(change, rel=1e-9)
    returned = stressed["metrics"]["2021-05-china"]["total_return"]
    assert change / before == pytest.approx(returned, rel=1e-9)
    beside = plain["counterfactuals"]["costs x2"]
    assert beside["total_return"] == stressed["counterfactuals"]["as run"]["total_return"]
    assert main(["run", "backtests/perp.toml", "--costs", "2"]) == 2
    assert "--costs takes x and how many times" in capsys.readouterr().err


@pytest.mark.otherwise(True)
@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("costs x2", {"costs_times": 2.0}),
        ("costs x0.5", {"costs_times": 0.5}),
        ("leverage 1x", {"account__leverage": 1.0, "account__exposure": 1.0}),
        ("leverage 20x", {"account__leverage": 20.0}),
        ("funding off", {"account__funding_policy": "missing-is-zero"}),
    ],
)
def test_a_counterfactual_is_the_study_that_says_so(market, name, overrides) -> None:
    run = market.run(counterfactuals=[name])
    told, first = run.counterfactuals, run.evaluation
    assert told.index.tolist() == ["as run", name]
    if name == "funding off":
        path = market.workspace.backtests / "perp.toml"
        path.write_text(path.read_text().replace(f'funding = "{FUNDING}"\n', ""))
    other = market.run(**overrides)
    row, measured = told.loc[name], other.metrics
    for column, metric, scope in (
        ("total_return", "total_return", "whole"),
        ("max_drawdown", "max_drawdown", "whole"),
    ):
        assert row[column] == pytest.approx(measured.loc[metric, scope], rel=1e-9), column
    # The benchmark holds spot at the costs of the study, whatever is changed.
    split = protection(other.evaluation.backtest, first.benchmark, first.periods)
    assert row["points_saved"] == pytest.approx(split.periods["points_saved"].mean(), rel=1e-9)
    assert row["growth_outside"] == pytest.approx(split.relative_growth, rel=1e-9)
    assert row["liquidations"] == (other.trades["status"] == "liquidated").sum()
    assert row["final_equity"] == pytest.approx(other.equity.iloc[-1], rel=1e-9)
    assert row["total_return"] != told.loc["as run", "total_return"]


@pytest.mark.otherwise(True)
def test_without_leverage_nobody_is_liquidated(market) -> None:
    told = market.run().counterfactuals
    assert told.index.tolist() == [
        *("as run", "funding off", "leverage 1x", "costs x2", "1 bar later"),
        *("every 27 instead of 30", "every 33 instead of 30"),
    ]
    assert told.loc["as run", "liquidations"] >= 1.0
    assert told.loc["leverage 1x", "liquidations"] == 0.0
    assert told.loc["leverage 1x", "max_drawdown"] > told.loc["as run", "max_drawdown"]


@pytest.mark.otherwise(True)
def test_a_bar_later_is_the_strategy_that_waits_a_bar(market) -> None:
    told = market.run(counterfactuals=["1 bar later", "3 bars later"]).counterfactuals
    swing = market.workspace.strategies / "swing.py"
    for bars in (1, 3):
        # The study starts with bar 12; what was decided before bar 11 it does not know.
        late = f"-1.0}}).shift({bars}).where(place >= {11 + bars}, 0.0)"
        swing.write_text(STRATEGY.replace("-1.0})", late))
        other = market.run(counterfactuals=[])
        name = f"{bars} bar{'s' if bars > 1 else ''} later"
        assert told.loc[name, "total_return"] == pytest.approx(
            other.metrics.loc["total_return", "whole"], rel=1e-9
        )


@pytest.mark.otherwise(True)
def test_a_neighbour_is_the_study_with_another_parameter(market) -> None:
    done = market.run()
    other = market.run(params__every=27)
    row = done.counterfactuals.loc["every 27 instead of 30"]
    assert row["total_return"] == pytest.approx(
        other.metrics.loc["total_return", "whole"], rel=1e-9
    )
    assert row["final_equity"] == pytest.approx(other.equity.iloc[-1], rel=1e-9)
    pd.testing.assert_frame_equal(load_run(done.folder).counterfactuals, done.counterfactuals)


@pytest.mark.otherwise(True)
def test_a_neighbour_that_decides_later_does_what_the_run_did_until_then(workspace) -> None:
    view = dl.market("sample/ohlcv/BTC/USD/1d").upto(pd.Timestamp("2014-06-01", tz="UTC"))
    run = dl.backtest(view, "ma200w_break", weeks=30)
    paths = run.what_if.paths
    later = paths.loc[paths["name"] == "weeks 33 instead of 30", "equity"]
    # Its first average is known three weeks after that of the run.
    same = run.equity.index < run.equity.index[0] + pd.Timedelta(weeks=3)
    assert run.equity[same].nunique() > 10
    np.testing.assert_allclose(later[same], run.equity[same], rtol=1e-12)
    assert not np.allclose(later, run.equity)
    # Of one week a step down is none, which the parameter's bound forbids.
    told = [name for name in run.counterfactuals.index if name.startswith("confirm_weeks")]
    assert told == ["confirm_weeks 2 instead of 1"]
    assert not any(name.startswith("confirm_weeks") for name in run.what_if.refused)


def test_a_step_is_a_tenth_and_at_least_one() -> None:
    params = {
        **{"weeks": 200, "few": 3, "share": 0.15, "below": -0.2, "many": 10**13},
        **{"none": None, "zero": 0, "flat": 0.0, "on": True, "word": "sma", "rungs": (1, 2)},
    }
    assert list(steps(params)) == [
        *(("weeks", 180, 200), ("weeks", 220, 200), ("few", 2, 3), ("few", 4, 3)),
        *(("share", 0.135, 0.15), ("share", 0.165, 0.15)),
        *(("below", -0.22, -0.2), ("below", -0.18, -0.2)),
        *(("many", 9 * 10**12, 10**13), ("many", 11 * 10**12, 10**13)),
    ]


@pytest.mark.otherwise(True)
def test_costs_of_a_stressed_run_are_multiplied_once_more(market) -> None:
    stressed = market.run(costs_times=2.0, counterfactuals=["costs x1.5"]).counterfactuals
    thrice = market.run(costs_times=3.0)
    assert stressed.loc["costs x1.5", "total_return"] == pytest.approx(
        thrice.metrics.loc["total_return", "whole"], rel=1e-12
    )


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_counterfactuals_are_read_back_and_none_may_be_asked_for(market) -> None:
    done = market.run(counterfactuals=["costs x3", "leverage 500x"])
    assert done.counterfactuals.loc["leverage 500x"].isna().all()
    assert "500" in done.what_if.refused["leverage 500x"]
    again = load_run(done.folder)
    pd.testing.assert_frame_equal(again.counterfactuals, done.counterfactuals)
    assert again.what_if.refused == done.what_if.refused
    assert "leverage 500x" in (done.folder / "tearsheet.html").read_text(encoding="utf-8")
    none = market.run(counterfactuals=[])
    assert none.counterfactuals.index.tolist() == ["as run"]
    assert not (none.folder / "counterfactuals.parquet").exists()
    assert 'id="what-if"' not in (none.folder / "tearsheet.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", ["funding", "leverage 0.5x", "costs 2", "costs x-1", "0 bars later", "bar later"]
)
def test_a_change_that_is_none_is_refused_at_the_door(market, name) -> None:
    with pytest.raises(ConfigError, match="counterfactual"):
        market.run(counterfactuals=[name])
    assert not market.workspace.results.exists()


@pytest.mark.otherwise(True)
def test_a_run_that_was_read_back_cannot_be_asked_anew(market) -> None:
    folder = market.run().folder
    with pytest.raises(InputError, match="windows and runs read back"):
        run_counterfactual(load_run(folder).evaluation.backtest, Counterfactual(costs_times=2.0))
    with pytest.raises(InputError, match="must change something"):
        run_counterfactual(market.run().evaluation.backtest, Counterfactual())


@pytest.mark.otherwise(True)
def test_spot_runs_have_costs_x2_and_neither_funding_nor_leverage(workspace) -> None:
    view = dl.market("sample/ohlcv/BTC/USD/1d").upto(pd.Timestamp("2014-06-01", tz="UTC"))
    run = dl.backtest(view, "support_breach", weeks=8)
    twice = dl.backtest(view, "support_breach", weeks=8, costs_times=2.0)
    assert run.counterfactuals.index.tolist() == [
        *("as run", "costs x2", "1 bar later", "weeks 7 instead of 8", "weeks 9 instead of 8"),
    ]
    expected = twice.equity.iloc[-1] / 10_000.0 - 1.0
    assert run.counterfactuals.loc["costs x2", "total_return"] == pytest.approx(expected, rel=1e-9)
    path = workspace.backtests / "buy_and_hold.toml"
    refused = dl.run(
        path, workspace=workspace, set={"counterfactuals": ["funding off"]}
    ).what_if.refused
    assert "neither funding nor leverage" in refused["funding off"]


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_compared_runs_show_their_counterfactuals_over_the_common_span(market, capsys) -> None:
    whole = market.run()
    late = market.run(start="2021-05-01")
    folders = [str(run.folder) for run in (whole, late)]
    both = dl.compare(whole, late)
    table = both.counterfactuals[both.labels[0]]
    paths = pd.read_parquet(whole.folder / "counterfactuals.parquet")
    for name in ("funding off", "leverage 1x", "costs x2"):
        equity = paths.loc[paths["name"] == name, "equity"]
        grown = equity.iloc[-1] / equity.loc["2021-04-30 20:00:00+00:00"] - 1.0
        assert table.loc[name, "total_return"] == pytest.approx(grown, rel=1e-9)
    assert main(["compare", *folders, "--what-if", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["counterfactuals"]
    assert (
        told[both.labels[0]]["funding off"]["total_return"]
        == table.loc["funding off", "total_return"]
    )
    pages = set(market.workspace.results.glob("comparisons/*/comparison.html"))
    assert ['id="what-if-table"' in page.read_text(encoding="utf-8") for page in pages] == [True]
    assert main(["compare", *folders]) == 0
    (other,) = set(market.workspace.results.glob("comparisons/*/comparison.html")) - pages
    assert 'id="what-if-table"' not in other.read_text(encoding="utf-8")
    assert "costs x2" not in capsys.readouterr().out


SWEEP = """
[sweep.account]
leverage = [10, 20]
stop_loss = [0.03, 0.5]
[sweep.costs]
taker_fee = [0.0, 0.0008]
"""


def assert_rows_are_runs(workspace, path, axes) -> int:
    """Every row of a sweep against the single run of its combination; liquidations seen."""
    done = sweep(path, workspace=workspace, workers=1)
    assert (done.frame["error"] == "").all()
    assert set(done.axes) == set(axes)
    assert len(SWEPT) > 12
    for _, row in done.frame.iterrows():
        overrides = {axis: float(row[axis]) for axis in done.axes}
        told = {**overrides, "counterfactuals": []}
        run = dl.run(path, workspace=workspace, set=told, quick=True)
        for scope in SCOPES:
            for name in (each.name for each in SWEPT):
                expected = run.metrics.loc[name, scope]
                own = row[column_name(scope, name)]
                assert own == pytest.approx(expected, rel=1e-9, abs=1e-11, nan_ok=True)
        ledger = run.evaluation.backtest.ledger
        size = max(1.0, ledger[["fee", "slippage", "funding", "liquidation"]].abs().sum().max())
        for part in ("fee", "slippage", "funding", "liquidation"):
            assert row[part] == pytest.approx(ledger[part].sum(), rel=1e-9, abs=1e-11 * size)
        assert row["liquidations"] == (run.trades["status"] == "liquidated").sum()
    return int(done.frame["liquidations"].sum())


AXES = ("account.leverage", "account.stop_loss", "costs.taker_fee")


def test_a_sweep_over_leverage_stop_and_fee_is_its_single_runs(market) -> None:
    path = market.workspace.backtests / "perp.toml"
    path.write_text(STUDY.replace('"generic"', '"binanceusdm"') + SWEEP)
    assert assert_rows_are_runs(market.workspace, path, AXES) > 0


@pytest.mark.parametrize("said", ["", "[costs]\ntaker_fee = 0.001\nslippage = 0.0005\n"])
def test_a_sweep_pays_the_stress_of_costs_of_its_single_runs(market, said) -> None:
    path = market.workspace.backtests / "perp.toml"
    path.write_text(STUDY + said + "[sweep.account]\nleverage = [10]\n")
    plain = sweep(path, workspace=market.workspace, workers=1)
    done = sweep(path, workspace=market.workspace, set={"costs_times": 2.0}, workers=1)
    single = dl.run(path, workspace=market.workspace, set={"costs_times": 2.0})
    assert done.frame["total_return"].iloc[0] == pytest.approx(
        single.metrics.loc["total_return", "whole"], rel=1e-9
    )
    fees = [sweep.frame["fee"].iloc[0] for sweep in (plain, done)]
    assert fees[1] > 1.2 * fees[0] > 0.0  # less than twice, on less equity
    assert done.n_trials == 2  # stressed combinations are trials of their own


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_real_history_from_data_to_page_and_sweep(workspace, shared_data, monkeypatch) -> None:
    bars = pd.read_csv(
        shared_data / "btcusdt_perp_4h_binance.csv.gz",
        parse_dates=["timestamp"],
        index_col="timestamp",
    )
    rates = pd.read_csv(
        shared_data / "funding_btcusdt_8h_binance.csv",
        parse_dates=["timestamp"],
        index_col="timestamp",
    )
    bars, rates = (table.loc["2020-01-01":"2021-07-01"] for table in (bars, rates))
    workspace.catalog.add(bars.rename_axis("open_time"), BARS)
    workspace.catalog.add(rates[["funding_rate"]], FUNDING)
    path = workspace.backtests / "history.toml"
    text = STUDY.replace("swing", "support_breach").replace("generic", "binanceusdm")
    text = text.replace(f'mark = "{MARK}"\n', "").replace("2021-04-03", "2020-03-01")
    text = text.replace("exposure = 6", "exposure = 3").replace("leverage = 10", "leverage = 5")
    asked = 'end = 2021-07-01\n[params]\nweeks = 4\nwhen_below = "short"\n'
    fewer = SWEEP.replace("[0.0, 0.0008]", "[0.0008]")
    path.write_text(text.replace("[account]", f"{asked}[account]") + fewer)
    run = dl.run(path, workspace=workspace)
    ledger = run.evaluation.backtest.ledger
    carried = ledger["position"].shift(fill_value=0.0)
    # The last price stands for the mark, so each stamp pays on the open of its bar.
    paid = (
        -carried
        * bars["open"].reindex(ledger.index)
        * rates["funding_rate"].reindex(ledger.index).fillna(0.0)
    )
    assert run.attribution.loc["whole", "funding"] == pytest.approx(paid.sum(), rel=1e-9)
    inside = sum(paid.loc[bars_of(run, name)].sum() for name in PERIODS)
    there = run.attribution.loc[list(PERIODS), "funding"].sum()
    assert there == pytest.approx(inside, rel=1e-9)
    parts = run.attribution.drop(columns=["change", "equity_before"])
    np.testing.assert_allclose(parts.sum(axis=1), run.attribution["change"], rtol=1e-9, atol=1e-6)
    first = run.manifest["simulation"]["backtest"]["rules"][0]
    assert first["brackets_since"] is None  # the venue's first known table is of June 2020
    page = (run.folder / "tearsheet.html").read_text(encoding="utf-8")
    assert "mark: none given; the last price stood for it" in page
    told = run.counterfactuals
    assert told.loc["costs x2", "total_return"] < told.loc["as run", "total_return"]
    assert math.isfinite(told.loc["funding off", "total_return"])
    monkeypatch.setattr("delever.study.runs.run.Run.html", lambda self: "")  # numbers only
    assert_rows_are_runs(workspace, path, AXES)
