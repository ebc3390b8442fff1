"""A sweep's rows are the metrics of single runs; nothing is run twice, nothing is forgotten."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.cli.app import main
from delever.engine.sweep_metrics import ENDS, SUMS, SWEPT, block_metrics, column_name
from delever.errors import ConfigError, InputError, StoreError
from delever.report.pages.choosing_tables import eras_table
from delever.research.choosing import Choosing
from delever.research.evaluation import evaluate
from delever.signals.indicators import sma
from delever.stats.metric import SCOPES
from delever.stats.metrics import metric, metric_of
from delever.stats.risk import value_at_risk
from delever.study.machines.executor import open_executor, run_tasks
from delever.study.settings.config import SweepConfig
from delever.study.settings.grid import combinations
from delever.study.sweeps import chunk as chunk_module
from delever.study.sweeps import study_sweep as sweep_module
from delever.study.sweeps import sweep_task as task_module
from delever.study.sweeps.sweep_task import ChunkRunner

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

STUDY = """
strategy = "ma200w_break"
data = "sample/ohlcv/BTC/USD/1d"
end = 2016-01-01
{more}
[sweep.params]
weeks = {{ from = 30, to = 50, step = 20 }}
average = ["sma", "wma"]
when_below = ["short"]
[sweep.costs]
taker_fee = [0.0, 0.002]
{axes}
"""


def write(workspace, more: str = "", axes: str = "", text: str | None = None):
    path = workspace.backtests / "grid.toml"
    path.write_text(STUDY.format(more=more, axes=axes) if text is None else text)
    return path


def sweep(workspace, path, **kwargs):
    return dl.sweep(path, workspace=workspace, **{"workers": 1, **kwargs})


def table(**tables):
    return SweepConfig.model_validate(tables)


@metric(label="Mean bar", unit="fraction", better="higher", formula="mean(r)",
        source="by definition", scopes=("whole", "inside"),
        from_sums=lambda sums: sums.returns / sums.bars)  # fmt: skip
def mean_bar(returns):
    return float(returns.mean()) if len(returns) else math.nan


@metric(label="Beaten bars", unit="fraction", better="higher", formula="share of r > b",
        source="by definition", scopes=("whole", "outside"))  # fmt: skip
def beaten_bars(returns, benchmark):
    return float((returns > benchmark).mean()) if len(returns) else math.nan


@pytest.mark.parametrize(
    "axes", ["", "[sweep.account]\nstop_loss = [0.05, 0.5]\nexposure = [0.5]\n"]
)
def test_each_row_is_the_run_of_its_combination_in_a_users_metrics_too(workspace, axes) -> None:
    own = [mean_bar, beaten_bars, value_at_risk]
    path = write(workspace, "costs_times = 2.0" if axes else "", axes)
    done = sweep(workspace, path, metrics=own)
    assert len(done.frame) == (16 if axes else 8)
    assert list(done.axes)[:4] == ["params.weeks", "params.average", "params.when_below",
                                   "costs.taker_fee"]  # fmt: skip
    assert (done.frame["error"] == "").all()
    added = [
        *("mean_bar", "inside_mean_bar", "beaten_bars", "outside_beaten_bars"),
        *("value_at_risk", "inside_value_at_risk", "outside_value_at_risk"),
    ]
    plain = sweep(workspace, path)
    assert set(done.frame.columns) == {*plain.frame.columns, *added}
    assert done.folder != plain.folder
    assert sweep(workspace, path, metrics=own).resumed == len(done.frame)
    pd.testing.assert_frame_equal(done.frame[plain.frame.columns], plain.frame)
    for _, row in done.frame.iloc[::3].iterrows():
        overrides = {axis: row[axis] for axis in done.axes}
        overrides["params.weeks"] = int(overrides["params.weeks"])
        run = dl.run(path, workspace=workspace, set=overrides, quick=True).evaluation
        assert row["start"] == run.span[0]
        assert row["fee"] == pytest.approx(run.backtest.ledger["fee"].sum(), rel=1e-9)
        single = evaluate(
            name="one",
            backtest=run.backtest,
            benchmark=run.benchmark,
            bars=run.bars,
            periods=run.periods,
            metrics=own,
        )
        for each in (*SWEPT, *map(metric_of, own)):
            for scope in set(each.scopes) & set(SCOPES):
                expected = (single if each.name in added else run).metrics.loc[each.name, scope]
                got = row[column_name(scope, each.name)]
                assert got == pytest.approx(expected, rel=1e-9, abs=1e-11, nan_ok=True)


@pytest.mark.drawn(True)
def test_what_was_not_decided_is_no_performance(workspace, capsys) -> None:
    text = (
        'strategy = "ma200w_break"\ndata = "sample/ohlcv/BTC/USD/1d"\nstart = 2011-01-01\n'
        "end = 2013-01-01\n[sweep.params]\nweeks = [20, 50, 900]\n"
    )
    path = write(workspace, text=text)
    frame = sweep(workspace, path).frame
    assert frame["first_decision"].dropna().dt.strftime("%Y-%m-%d").tolist() == [
        "2010-12-05", "2011-07-03",
    ]  # fmt: skip
    assert frame["error"].tolist()[:2] == ["", ""]
    for _, row in frame.iloc[:2].iterrows():  # as the single run says, in each scope
        told = {"workspace": workspace, "quick": True, "set": {"params.weeks": row["params.weeks"]}}
        alone = dl.run(path, **told)
        waited = max((row["first_decision"] - row["start"]).days + 1, 0)
        assert alone.evaluation.undecided == waited
        assert row["bars"] - row["inside_bars"] - row["outside_bars"] == waited
        for scope in SCOPES:
            for each in SWEPT:
                expected = alone.metrics.loc[each.name, scope]
                got = row[column_name(scope, each.name)]
                assert got == pytest.approx(expected, rel=1e-9, abs=1e-11, nan_ok=True)
        again = dl.run(path, **told)
        assert again.cached
        assert again.evaluation.undecided == alone.evaluation.undecided
    never = frame.iloc[2]
    assert never["error"].startswith("the strategy needs more history than there is: no decision")
    assert never[["sharpe_ratio", "total_return", "max_drawdown"]].isna().all()
    # As the strategy run by itself says, and as the sweep without a start does.
    with pytest.raises(InputError) as raised:
        dl.run(path, workspace=workspace, set={"params.weeks": 900})
    assert str(raised.value) == never["error"]
    free = sweep(workspace, write(workspace, text=text.replace("start = 2011-01-01\n", "")))
    assert free.frame["error"].tolist() == frame["error"].tolist()
    write(workspace, text=text)
    place = ["--workspace", str(workspace.root), "--workers", "1"]
    main(["sweep", str(path), *place, "--wide"])  # else the heading takes two lines
    said = capsys.readouterr().out
    assert "┃ first decision ┃" in said
    assert re.search(r" 50 │ +2011-07-03 │", said)
    assert "1 combination first decides after the start, the last on 2011-07-03" in said
    assert "First decision" in sweep(workspace, path).html()


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_a_sweep_of_less_than_a_year_says_so_of_every_yearly_figure(workspace, capsys) -> None:
    text = (
        'strategy = "ma200w_break"\ndata = "sample/ohlcv/BTC/USD/1d"\nstart = 2014-03-01\n'
        "end = 2014-12-01\n[sweep.params]\nweeks = [20, 50]\n"
    )
    path = write(workspace, text=text)
    done = sweep(workspace, path)
    assert done.frame["days"].tolist() == [275.0, 275.0]
    assert " (of 0.75 years), " in done.headline
    assert done.notes[2].startswith("less than a year, 275 days: yearly figures, marked *, are")
    assert done.notes[2] in done.html()
    quarter = {
        "start": pd.Timestamp("2014-03-01", tz="UTC"), "end": pd.Timestamp("2014-05-08", tz="UTC"),
        "chosen": 0, "sharpe_ratio": 1.0, "middle": 0.5, "benchmark": np.nan, "rank": 1.0,
    }  # fmt: skip
    eras = eras_table(replace(done, choosing=Choosing(eras=pd.DataFrame([quarter]))))
    assert eras.texts[0][2:5] == ("1.00 *", "0.50 *", "n/a")
    assert eras.caption.endswith("* Of less than a year: a speed, not a forecast.")
    main(["sweep", str(path), "--workspace", str(workspace.root), "--workers", "1", "--wide"])
    rows = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if "│" in line]
    shown = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    for name in ("Sharpe ratio", "CAGR"):
        assert all(cell.endswith(" *") for cell in shown[name]), name
    assert not any("*" in cell for cell in shown["Max drawdown"])
    assert shown["20"][1].endswith(" *")


def test_a_metric_that_names_another_column_is_refused(workspace) -> None:
    named = replace(metric_of(mean_bar), name="funding")
    with pytest.raises(InputError, match="must not be called funding"):
        sweep(workspace, write(workspace), metrics=[named])
    with pytest.raises(InputError, match="mean_bar must have from_sums"):
        block_metrics(
            *(np.zeros(1, ENDS), np.zeros((1, 2), SUMS), np.ones((2, 1)), np.ones((3, 1))),
            initial_equity=1.0,
            timeframe="1d",
            metrics=[replace(metric_of(mean_bar), from_sums=None)],
        )
    with pytest.raises(InputError, match="one number per account"):
        block_metrics(
            *(np.zeros(1, ENDS), np.zeros((1, 2), SUMS), np.ones((2, 1)), np.ones((3, 1))),
            initial_equity=1.0,
            timeframe="1d",
            metrics=[replace(metric_of(mean_bar), from_sums=lambda sums: np.zeros(3))],
        )


def test_an_interrupted_sweep_goes_on_where_it_was(workspace, monkeypatch) -> None:
    monkeypatch.setattr(sweep_module, "_MOST", 3)
    path = write(workspace)
    whole = sweep(workspace, path)
    files = sorted((whole.folder / "chunks").iterdir())
    assert len(files) == 3
    files[1].unlink()
    before = {file: file.stat().st_mtime_ns for file in files if file.exists()}
    told: list[tuple[int, int]] = []
    again = sweep(workspace, path, progress=lambda done, total, left: told.append((done, total)))
    assert told == [(8, 8)]
    assert again.resumed == 5
    assert {file: file.stat().st_mtime_ns for file in before} == before
    pd.testing.assert_frame_equal(again.frame, whole.frame)
    pd.testing.assert_frame_equal(pd.read_parquet(whole.folder / "sweep.parquet"), whole.frame)


def test_a_budget_cuts_the_work_and_changes_no_number(workspace, monkeypatch) -> None:
    path = write(workspace)
    whole = sweep(workspace, path)
    sizes: list[int] = []
    real = chunk_module.simulate_each

    def counted(market, accounts, **asked):
        sizes.append(len(accounts))
        return real(market, accounts, **asked)

    def tight(**told):
        return ChunkRunner(**{**told, "target_bytes": 1, "shared_bytes": 1})

    monkeypatch.setattr(chunk_module, "simulate_each", counted)
    monkeypatch.setattr(sweep_module, "ChunkRunner", tight)
    small = sweep(workspace, path, fresh=True)
    assert sizes == [1] * 8
    pd.testing.assert_frame_equal(small.frame, whole.frame)


def test_every_combination_ever_tried_is_counted_once(workspace) -> None:
    path = write(workspace)
    assert sweep(workspace, path).n_trials == 8
    assert sweep(workspace, path, fresh=True).n_trials == 8
    more = sweep(workspace, path, set={"params.confirm_weeks": 2})
    assert more.n_trials == 16
    tried = dl.trials(workspace=workspace).frame
    assert len(tried) == 16
    assert {params["confirm_weeks"] for params in tried["params"]} == {1, 2}


def test_worker_processes_and_any_executor_give_the_same(workspace, monkeypatch) -> None:
    monkeypatch.setattr(sweep_module, "_LEAST", 4)
    path = write(workspace)
    here = sweep(workspace, path)
    processes = sweep(workspace, path, workers=2, fresh=True)
    pd.testing.assert_frame_equal(processes.frame, here.frame)


@pytest.mark.drawn(True)
def test_a_combination_without_a_result_says_why_and_stops_nothing(workspace) -> None:
    text = """
strategy = "support_breach"
data = "sample/ohlcv/BTC/USD/1d"
end = 2012-06-01
[sweep.params]
weeks = [4, 8]
reentry_bars = [5]
reentry = ["reclaim", "bars"]
"""
    done = sweep(workspace, write(workspace, text=text))
    failed = done.frame["error"].str.contains("reentry_bars goes with reentry='bars'")
    assert failed.tolist() == [True, False, True, False]
    assert done.frame.loc[failed, "cagr"].isna().all()
    assert done.frame.loc[~failed, "cagr"].notna().all()
    assert done.manifest["failed"] == 2
    page = (done.folder / "sweep.html").read_text()
    assert "2 combinations without a result" in page
    reason = "reentry_bars goes with reentry"
    [row] = done.tables["without_result"].itertuples()
    assert reason in row.Index
    assert row.combinations == 2
    assert page.count(reason) == 1


def test_a_sweep_of_which_nothing_has_a_result_says_why_once_and_fails(workspace, capsys) -> None:
    text = """
strategy = "support_breach"
data = "sample/ohlcv/BTC/USD/1d"
end = 2012-06-01
[account]
bounds = true
[sweep.params]
weeks = [4, 8]
"""
    path = write(workspace, text=text)
    assert main(["sweep", str(path), "--workers", "1"]) == 1
    said = capsys.readouterr()
    assert said.err.count("bounds") == 1
    assert "error: every one of 2 combinations was refused: " in said.err
    assert "Sharpe" not in said.out
    assert main(["sweep", str(path), "--workers", "1", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["failed"] == 2
    (listed,) = dl.runs(kind="sweep", workspace=workspace).frame.index
    back = dl.result(listed, workspace=workspace)
    assert back.axes == ("params.weeks",)
    assert back.refusal


def test_rules_that_the_earliest_lack_stop_no_later_combination(workspace) -> None:
    book = workspace.root / "data" / "venues" / "generic.toml"
    book.write_text(book.read_text().replace("valid_from = 2009-01-03", "valid_from = 2011-05-01"))
    account = (
        '[account]\ncontract = "BTC/USDT:USDT"\nrules = "generic"\n'
        'funding_policy = "missing-is-zero"\n'
    )
    path = write(workspace, more=account)
    done = sweep(workspace, path, set={"sweep.costs.taker_fee": [0.001]})
    early = done.frame["params.weeks"] == 30
    assert done.frame.loc[early, "start"].max() < pd.Timestamp("2011-05-01", tz="UTC")
    assert done.frame.loc[early, "error"].str.contains("2011-05-01").all()
    assert (done.frame.loc[~early, "error"] == "").all()
    late = done.frame.loc[~early].iloc[0]
    asked = {"params.weeks": int(late["params.weeks"]), "params.average": late["params.average"]}
    asked |= {"params.when_below": "short", "costs.taker_fee": 0.001}
    single = dl.run(path, workspace=workspace, set=asked)
    assert late["total_return"] == pytest.approx(
        single.metrics.loc["total_return", "whole"], rel=1e-9
    )


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ("[sweep.account]\nmargin_mode = ['cross']", "sweep.account takes leverage, exposure"),
        (
            "[sweep.account]\nleverage = 2",
            "sweep.account.leverage must be a list of values, or a table of from, to and step",
        ),
        (
            "[sweep.account]\nleverage = [0.5]",
            "account.leverage must be: greater than or equal to 1",
        ),
        ("[sweep.costs2]\nx = [1]", "unknown key 'sweep.costs2'"),
        ("[sweep]\nsamples = 4", "samples goes with choose"),
    ],
)
def test_a_table_that_no_run_would_take_is_refused(workspace, axes, words) -> None:
    with pytest.raises(ConfigError, match=words):
        sweep(workspace, write(workspace, axes=axes))
    assert not workspace.results.exists()


def test_parameters_are_checked_before_anything_runs(workspace) -> None:
    text = (
        'strategy = "ma200w_break"\ndata = "sample/ohlcv/BTC/USD/1d"\n[sweep.params]\nweeks = [1]'
    )
    with pytest.raises(ConfigError, match="weeks must be greater than or equal to 2"):
        sweep(workspace, write(workspace, text=text))
    with pytest.raises(ConfigError, match=r"needs a \[sweep\] table"):
        sweep(workspace, workspace.backtests / "buy_and_hold.toml")


@pytest.mark.parametrize("changed", ["strategies/ma200w_break.py", "data/deleveraging.toml"])
def test_what_changes_meanwhile_is_refused(workspace, changed) -> None:
    path = write(workspace)

    class Late(Executor):
        def submit(self, function, chunk):
            file = workspace.root / changed
            file.write_text(file.read_text() + "\n# edited\n")
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(function, chunk)

    task_module._prepared.cache_clear()
    with pytest.raises(StoreError, match="must stay as they were"):
        sweep(workspace, path, cluster=Late())


def test_a_worker_that_lives_on_sees_what_has_changed_between_two_sweeps(workspace) -> None:
    path = write(workspace)
    before = sweep(workspace, path).frame
    strategy = workspace.strategies / "ma200w_break.py"
    strategy.write_text(strategy.read_text() + "\n# edited\n")
    pd.testing.assert_frame_equal(sweep(workspace, path).frame, before)
    periods = workspace.root / "data" / "deleveraging.toml"
    text = periods.read_text()
    periods.write_text(text.replace("start = 2013-12-05", "start = 2013-12-10"))
    after = sweep(workspace, path).frame
    assert (after["inside_bars"] == before["inside_bars"] - 5).all()
    assert after["bars"].equals(before["bars"])


def test_a_sweep_leaves_single_runs_as_they_were(workspace) -> None:
    path = write(workspace)
    with_table = dl.run(path, workspace=workspace).manifest["run_id"]
    path.write_text(path.read_text().partition("[sweep.params]")[0])
    assert dl.run(path, workspace=workspace).manifest["run_id"] == with_table


def test_ranges_hold_both_ends_and_decimal_fractions() -> None:
    axis = {"fee": {"from": 0.1, "to": 0.7, "step": 0.1}}
    found = [one["costs.fee"] for one in combinations(table(costs=axis))]
    assert found == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    short = combinations(table(params={"w": {"from": 1, "to": 6, "step": 2}}))
    assert [one["params.w"] for one in short] == [1, 3, 5]


@pytest.mark.parametrize("choose", ["random", "sobol"])
def test_samples_repeat_with_their_seed_and_stay_inside(choose) -> None:
    axes = {"w": {"from": 10, "to": 19}, "x": {"from": 0.0, "to": 1.0}, "k": ["a", "b"]}
    drawn, again, other = (
        list(combinations(table(choose=choose, samples=64, seed=seed, params=axes)))
        for seed in (3, 3, 4)
    )
    assert drawn == again != other
    assert len(drawn) == 64
    assert {one["params.w"] for one in drawn} == set(range(10, 20))
    assert {one["params.k"] for one in drawn} == {"a", "b"}
    values = sorted(one["params.x"] for one in drawn)
    assert 0.0 <= values[0] <= values[-1] < 1.0
    if choose == "sobol":  # of 64 points of the first 2**6, each 64th of an axis holds one
        assert [math.floor(64 * value) for value in values] == list(range(64))


def test_executors_keep_few_tasks_in_the_air() -> None:
    with pytest.raises(InputError, match="at least 1"), open_executor(0):
        pass
    with pytest.raises(InputError, match="address, such as 'local:4', or an Executor; got 3"):
        open_executor(1, 3).__enter__()  # type: ignore[arg-type]
    taken: list[int] = []

    def tasks():
        for number in range(10):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        results = run_tasks(str, tasks(), pool, ahead=3)
        first = next(results)
        assert len(taken) == 3
        assert sorted([first, *results]) == [(n, str(n)) for n in range(10)]
    with open_executor(1) as none:
        assert list(run_tasks(str, [1], none)) == [(1, "1")]


SCRIPT = """
import os
from delever.errors import SimulationError
from delever.study.machines.executor import open_executor, run_tasks

with open_executor(2) as pool:
    print(sorted(done for _, done in run_tasks(abs, [-1, -2], pool)))
try:
    with open_executor(2) as pool:
        list(run_tasks(os._exit, [1], pool))
except SimulationError as error:
    print(error)
"""


def test_a_plain_script_needs_no_main_guard_and_a_lost_worker_is_said(tmp_path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr, lines[0]) == (0, "", "[1, 2]")
    assert lines[1].startswith("a worker process ended before its work was done")
    assert len(lines) == 2  # no worker ran the script


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_the_command_prints_one_document_and_a_page_that_loads_nothing(workspace, capsys) -> None:
    path = write(workspace)
    assert main(["sweep", str(path), "--workers", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["combinations"] == document["n_trials"] == 8
    page = (workspace.results / "grid" / "sweeps" / document["sweep_id"] / "sweep.html").read_text()
    for words in ("Trials ever made on these data", "begin on different bars", 'id="parallel"',
                  'id="map-sharpe-ratio"', "ma200w break", "sample/ohlcv/BTC/USD/1d",
                  "buy and hold", "Neighbours&#39; Sharpe"):  # fmt: skip
        assert words in page
    best = document["highest_sharpe_ratio"]
    assert document["deflation"]["trials"] == 8
    assert document["benchmark"]["sharpe_ratio"] > 0.0
    frame = pd.read_parquet(Path(document["folder"]) / "sweep.parquet")
    assert best["sharpe_ratio"] == frame["sharpe_ratio"].max()
    assert main(["sweep", str(path), "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "8 of them were there already; 8 trials ever made on this data" in printed
    for words in ("buy and hold", "effective trials", "Liquidations"):
        assert words in " ".join(printed.split())


def test_axes_of_a_notebook_are_lists_by_name_and_may_hold_numbers_of_numpy() -> None:
    market = dl.market("sample/ohlcv/BTC/USD/1d", end="2013-01-01")

    def rule(market: dl.MarketView, *, n: int = 5) -> pd.Series:
        return (market.bars["close"] > sma(market.bars["close"], n)).astype(float)

    plain = dl.sweep(market, rule, {"n": [20, 30, 40]}).frame
    assert not plain["error"].any()
    for given in (np.arange(20, 50, 10), [np.int64(20), 30, np.int32(40)]):
        pd.testing.assert_frame_equal(dl.sweep(market, rule, {"n": given}).frame, plain)
    for call in (dl.sweep, dl.walk_forward):
        for axes, words in (
            ({"n": 20}, r"axis 'n' must be a list or a range of values, .*; got 20"),
            ({"n": "abc"}, r"axis 'n' must be a list or a range"),
            ({3: [1]}, r"name of an axis must be text, .*; got 3"),
            ({"n": []}, "each with a value"),
        ):
            with pytest.raises(InputError, match=words):
                call(market, rule, axes)
        with pytest.raises(InputError, match=r"needs a market, as dl.market .* got 3$"):
            call(3, rule, {"n": [20]})
