"""A study from its file to its folder: same inputs, same bytes; other inputs, another id."""

from __future__ import annotations

import json
import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.errors import ConfigError, DataError, InputError, NotStoredError, StoreError
from delever.research.luck import no_test
from delever.research.redrawn import Redrawing, redrawn_test
from delever.study.runs.answering import stored
from delever.study.runs.run import load_run
from delever.study.workspaces.workspace import Workspace

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

QUICK = {"end": "2016-01-01", "params.weeks": 50}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace in which the run of this file is finished."""
    place = dl.init(tmp_path_factory.mktemp("ran") / "workspace")
    run(place)
    return place


@pytest.fixture
def finished(template, tmp_path):
    """A copy of it, which a test may harm."""
    return Workspace(root=shutil.copytree(template.root, tmp_path / "finished"))


def run(workspace, name="ma200w_break", **kwargs):
    overrides = QUICK if name == "ma200w_break" else {"end": "2016-01-01"}
    overrides = {**overrides, **kwargs.pop("overrides", {})}
    path = workspace.backtests / f"{name}.toml"
    kwargs.setdefault("quick", True)
    return dl.run(path, workspace=workspace, set=overrides, **kwargs)


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_a_run_leaves_a_whole_folder_and_is_found_again(workspace):
    steps: list[str] = []
    first = run(workspace, progress=steps.append)
    assert first.folder == workspace.results / "ma200w_break" / first.manifest["run_id"]
    assert {path.name for path in first.folder.iterdir()} == {
        "facts.json",
        "manifest.json",
        "metrics.json",
        "tearsheet.html",
        "equity.parquet",
        "fills.parquet",
        "trades.parquet",
        "bars.parquet",
        "lines.parquet",
        "counterfactuals.parquet",
        "periods.toml",
        "benchmark_equity.parquet",
        "benchmark_fills.parquet",
        "benchmark_trades.parquet",
    }
    assert steps[0] == "reading data"
    assert steps[1:] == ["simulating", "testing against luck", "writing the tear-sheet"]
    again = run(workspace)
    assert again.cached
    assert not first.cached
    pd.testing.assert_frame_equal(again.metrics, first.metrics)
    pd.testing.assert_frame_equal(again.trades, first.trades)
    pd.testing.assert_series_equal(again.equity, first.equity, check_freq=False)


@pytest.mark.otherwise(True)
def test_what_was_run_quickly_is_run_whole_when_asked_for(workspace):
    first = run(workspace)
    assert first.answer.redrawn is None
    whole = run(workspace, quick=False)
    assert not whole.cached
    assert whole.answer.redrawn is not None
    assert run(workspace).cached  # what is there is not thrown away for less
    assert run(workspace).answer.redrawn == whole.answer.redrawn
    # By hand: the strategy itself on redrawn markets, and holding beside it.
    rule, held = dl.strategy("ma200w_break"), dl.strategy("buy_and_hold")
    redrawing = Redrawing(
        market=dl.market("sample/ohlcv/BTC/USD/1d", end="2016-01-01"),
        rule=lambda market: rule.target(market, whole.manifest["study"]["params"]),
        benchmark_rule=lambda market: held.target(market, {}),
        backtest=whole.evaluation.backtest,
        benchmark=whole.evaluation.benchmark,
    )
    by_hand = redrawn_test(redrawing, markets=6).null_values
    assert whole.answer.redrawn.null_values == pytest.approx(by_hand)
    assert len(set(by_hand)) == 6


def test_what_is_run_on_redrawn_markets_is_the_run_beside_its_benchmark(monkeypatch):
    """Each by its own account: on spot of like costs nobody would notice one in place of both."""
    seen = []
    monkeypatch.setattr(
        "delever.study.runs.answering.redrawn_test",
        lambda redrawing, **_: seen.append(redrawing) or no_test("left out"),
    )
    market = dl.market("sample/ohlcv/BTC/USD/1d", end="2014-06-01")
    done = dl.backtest(market, "ma200w_break", weeks=50, quick=False)
    assert done.answer.redrawn.reason == "left out"
    (redrawing,) = seen
    assert redrawing.backtest is done.evaluation.backtest
    assert redrawing.benchmark is done.evaluation.benchmark


@pytest.mark.otherwise(True)
def test_the_answer_is_read_back_as_it_was_written(workspace):
    first = run(workspace)
    again = load_run(first.folder)
    assert stored(again.answer) == stored(first.answer)
    assert again.headline == first.headline
    pd.testing.assert_frame_equal(
        again.answer.protection.periods, first.answer.protection.periods, check_freq=False
    )
    assert again.answer.timing == first.answer.timing


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_the_figures_of_the_page_are_those_of_metrics_json(finished):
    done = run(finished)
    page = (
        (done.folder / "tearsheet.html").read_text(encoding="utf-8").replace("\N{MINUS SIGN}", "-")
    )
    told = json.loads((done.folder / "metrics.json").read_text(encoding="utf-8"))
    found, whole = told["answer"], told["metrics"]["whole"]
    sharpe = found["estimates"]["sharpe_ratio"]
    tiles = re.findall(r'class="value">([^<]*)</div><div class="beside">([^<]*)<', page)
    outcomes = [row["outcome"] for row in found["protection"]["periods"].values()]
    counted = " / ".join(str(outcomes.count(each)) for each in ("helped", "hurt", "nothing"))
    assert tiles[1] == (counted, f"in {len(outcomes)} periods")
    assert tiles[2][0] == f"{found['account']['relative_growth']:.1%} a year"
    assert tiles[4] == (
        f"{whole['sharpe_ratio']:.2f}",
        f"{sharpe['low']:.2f} to {sharpe['high']:.2f}; buy and hold "
        f"{told['benchmark']['whole']['sharpe_ratio']:.2f}",
    )
    assert tiles[5][0] == f"{whole['max_drawdown']:.1%}"
    assert sharpe["value"] == pytest.approx(whole["sharpe_ratio"], rel=1e-9)
    assert math.expm1(found["estimates"]["growth"]["value"]) == pytest.approx(whole["cagr"])
    premium = math.expm1(found["estimates"]["premium"]["value"])
    assert premium == pytest.approx(found["account"]["relative_growth"], rel=1e-9)
    split = found["protection"]
    payouts = sum(row["payout"] for row in split["periods"].values())
    assert payouts - split["premium"] == pytest.approx(split["log_wealth_ratio"], abs=1e-12)
    ends = [
        pd.read_parquet(done.folder / f"{each}equity.parquet")["equity"].iloc[-1]
        for each in ("", "benchmark_")
    ]
    assert math.log(ends[0] / ends[1]) == pytest.approx(split["log_wealth_ratio"], abs=1e-12)


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_a_fresh_run_writes_the_same_bytes(workspace):
    first = run(workspace)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    again = run(workspace, fresh=True)
    assert not again.cached
    assert {path.name: path.read_bytes() for path in again.folder.iterdir()} == before
    assert [path.name for path in again.folder.parent.iterdir()] == [again.folder.name]


def test_the_id_follows_every_input(finished):
    ids = {run(finished).manifest["run_id"]}
    ids.add(run(finished, overrides={"params.weeks": 51}).manifest["run_id"])
    ids.add(run(finished, overrides={"costs.taker_fee": 0.002}).manifest["run_id"])
    strategy = finished.strategies / "ma200w_break.py"
    strategy.write_text(strategy.read_text() + "\n# a remark\n")
    ids.add(run(finished).manifest["run_id"])
    catalogue = finished.root / "data" / "deleveraging.toml"
    catalogue.write_text(catalogue.read_text() + "\n# a remark\n")
    ids.add(run(finished).manifest["run_id"])
    assert len(ids) == 5


def test_the_manifest_says_what_the_run_was_made_from(finished):
    manifest = json.loads((run(finished).folder / "manifest.json").read_text())
    metadata = json.loads((finished.root / "data/sample/metadata.json").read_text())
    assert manifest["params"]["weeks"] == 50
    assert manifest["data"]["rows"] == metadata["rows"]
    assert len(manifest["data"]["sha256"]) == len(manifest["strategy"]["sha256"]) == 64
    assert manifest["git"] == {"sha": None, "dirty": None}
    assert manifest["versions"]["pandas"] == pd.__version__
    assert "close-only: intraday extremes unseen" in manifest["notes"]


def test_a_warm_start_trades_on_the_first_bar_a_decision_can_be_filled_at(finished):
    # The sample begins on Sunday 2010-07-18, so the first whole week opens on Monday 07-19; the
    # 50th closes at Monday 2011-07-04 00:00, the open of the first bar of the run.
    evaluation = run(finished).evaluation
    assert evaluation.span[0] == pd.Timestamp("2011-07-04", tz="UTC")
    assert evaluation.span[1] == pd.Timestamp("2016-01-01", tz="UTC")
    assert evaluation.backtest.fills["time"].iloc[0] == evaluation.span[0]
    assert evaluation.benchmark.fills["time"].iloc[0] == evaluation.span[0]


def test_an_explicit_start_before_warm_up_is_flat_until_then(workspace):
    done = run(workspace, overrides={"start": "2011-01-01"})
    evaluation = done.evaluation
    # The decision is that of the bar of Sunday 3 July, the 184th of the run.
    flat = "no decision before 2011-07-03: 184 bars were flat for want of history"
    assert (done.notes[0], evaluation.undecided) == (flat, 184)
    before = evaluation.backtest.ledger.loc[:"2011-07-03", "position"]
    assert evaluation.span[0] == pd.Timestamp("2011-01-01", tz="UTC")
    assert (before == 0).all()
    assert (evaluation.benchmark.ledger.loc[:"2011-07-03", "position"] > 0).all()


def test_the_parts_compound_to_the_whole(finished):
    evaluation = run(finished).evaluation
    grown = 1 + evaluation.metrics.loc["total_return"]
    np.testing.assert_allclose(grown["inside"] * grown["outside"], grown["whole"], rtol=1e-9)
    each = grown[[period.id for period in evaluation.periods]]
    np.testing.assert_allclose(each.prod(), grown["inside"], rtol=1e-9)


def test_a_period_cut_by_the_end_is_said(workspace):
    notes = run(workspace, overrides={"end": "2013-12-10"}).notes
    assert any("only in part" in note for note in notes)


def test_too_little_history_is_refused_with_the_mend(workspace):
    for start in ({}, {"start": "2011-01-01"}):  # nothing known is not flat
        with pytest.raises(InputError, match="needs more history"):
            run(workspace, overrides={"params.weeks": 2000, **start})
    with pytest.raises(InputError, match="at least one bar"):
        run(workspace, overrides={"start": "2030-01-01", "end": "2031-01-01"})
    with pytest.raises(InputError, match="at least one bar"):
        run(workspace, overrides={"end": "2009-01-01"})


def test_an_unknown_parameter_is_refused_and_nothing_is_written(workspace):
    with pytest.raises(ConfigError, match="'wekks'"):
        run(workspace, overrides={"params.wekks": 3})
    assert not workspace.results.exists()


def test_an_unfinished_or_damaged_folder_is_not_taken_for_a_run(finished):
    folder = run(finished).folder
    (folder / "trades.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(StoreError, match="--fresh"):
        load_run(folder)
    assert len(run(finished, fresh=True).trades)
    (folder / "manifest.json").unlink()
    with pytest.raises(NotStoredError, match="finished run"):
        load_run(folder)
    assert not run(finished).cached


def test_a_run_that_fails_leaves_the_old_one_and_no_draft(finished, monkeypatch):
    folder = run(finished).folder

    def no_room(*args: object, **kwargs: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", no_room)
    with pytest.raises(StoreError, match="no space left on device; make room"):
        run(finished, fresh=True)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert run(finished).cached


def test_warm_up_bars_come_before_the_data_and_are_never_traded(workspace):
    frame = workspace.catalog.load("sample/ohlcv/BTC/USD/1d").frame
    frame = frame.assign(volume=0.0)
    for venue, part in (("early", frame.loc[:"2012-12-31"]), ("late", frame.loc["2012-06-01":])):
        source = workspace.root / f"{venue}.csv"
        part.rename_axis("timestamp").to_csv(source, date_format="%Y-%m-%dT%H:%M:%SZ")
        workspace.catalog.add(source, f"{venue}/ohlcv/BTC/USD/1d")
    alone = run(workspace, overrides={"data": "late/ohlcv/BTC/USD/1d"})
    warmed = run(
        workspace,
        overrides={"data": "late/ohlcv/BTC/USD/1d", "warmup": "early/ohlcv/BTC/USD/1d"},
    )
    assert alone.evaluation.span[0] == pd.Timestamp("2013-05-20", tz="UTC")
    assert warmed.evaluation.span[0] == pd.Timestamp("2012-06-01", tz="UTC")
    assert any("early/ohlcv/BTC/USD/1d" in note for note in warmed.notes)
    assert warmed.manifest["warmup"]["reference"] == "early/ohlcv/BTC/USD/1d"
    # One continuous history in two venues decides as the history itself does.
    whole = run(workspace, overrides={"start": "2012-06-01"})
    pd.testing.assert_series_equal(whole.equity, warmed.equity, check_freq=False)


def test_a_coarser_warm_up_gives_a_long_average_its_history(workspace):
    daily = workspace.catalog.load("sample/ohlcv/BTC/USD/1d").frame.assign(volume=1.0)
    late = daily.loc["2013-06-05":"2013-09-30"]  # a Wednesday; each day in two halves
    opens = late["open"].to_numpy()
    middle = (late["open"] + late["close"]).to_numpy() / 2
    closes = late["close"].to_numpy()
    halves = pd.concat(
        [
            pd.DataFrame({"open": opens, "close": middle}, late.index),
            pd.DataFrame({"open": middle, "close": closes}, late.index + pd.Timedelta(hours=12)),
        ]
    ).sort_index()
    fine = halves.assign(high=halves.max(axis=1), low=halves.min(axis=1), volume=1.0)
    for name, frame, timeframe in (
        ("early", daily.loc[:"2013-06-30"], "1d"),
        ("late", fine, "12h"),
        ("scaled", daily.loc[:"2013-06-30"] * 1_000, "1d"),
    ):
        source = workspace.root / f"{name}.csv"
        part = frame[["open", "high", "low", "close", "volume"]]
        part.rename_axis("timestamp").to_csv(source, date_format="%Y-%m-%dT%H:%M:%SZ")
        workspace.catalog.add(source, f"{name}/ohlcv/BTC/USD/{timeframe}")
    there = {"data": "late/ohlcv/BTC/USD/12h", "params.weeks": 50}
    with pytest.raises(InputError, match="needs more history"):
        run(workspace, overrides=there)
    warmed = run(workspace, overrides={**there, "warmup": "early/ohlcv/BTC/USD/1d"})
    # The second bar is the first that a decision can be filled at.
    assert warmed.evaluation.span[0] == pd.Timestamp("2013-06-05 12:00", tz="UTC")
    said = "closes of 1d and coarser were warmed up on earlier bars of early/ohlcv/BTC/USD/1d"
    assert said in warmed.notes
    whole = run(workspace, overrides={"start": "2013-06-05", "end": "2013-10-01"})
    line = warmed.evaluation.lines.iloc[:, 0]
    at_close = line[line.index.hour == 12].to_numpy()
    np.testing.assert_allclose(at_close, whole.evaluation.lines.iloc[:, 0].to_numpy())
    with pytest.raises(DataError, match="price scale"):
        run(workspace, overrides={**there, "warmup": "scaled/ohlcv/BTC/USD/1d"})
    with pytest.raises(ConfigError, match="timeframe of the data, 1d, or one that it fills"):
        run(workspace, overrides={"warmup": "late/ohlcv/BTC/USD/12h"})


def test_warm_up_of_another_timeframe_or_a_later_start_is_refused(workspace):
    frame = workspace.catalog.load("sample/ohlcv/BTC/USD/1d").frame.assign(volume=0.0)
    source = workspace.root / "x.csv"
    frame.rename_axis("timestamp").to_csv(source, date_format="%Y-%m-%dT%H:%M:%SZ")
    workspace.catalog.add(source, "same/ohlcv/BTC/USD/1d")
    with pytest.raises(ConfigError, match="must hold bars before 2010-07-18"):
        run(workspace, overrides={"warmup": "same/ohlcv/BTC/USD/1d"})


def test_a_removed_workspace_file_is_named(workspace):
    shutil.move(workspace.root / "data" / "deleveraging.toml", workspace.root / "elsewhere.toml")
    with pytest.raises(ConfigError, match=r"deleveraging\.toml"):
        run(workspace)


def test_a_finished_run_goes_by_folder_id_or_study(finished):
    first = run(finished).folder
    names = (first, first / "tearsheet.html", first.name, first.name[:6], "ma200w_break")
    for name in names:
        assert dl.run(name, workspace=finished).folder == first
    second = run(finished, overrides={"params.weeks": 51}).folder
    assert dl.run("ma200w_break", workspace=finished).folder == second
    with pytest.raises(InputError, match=f"names none: .*ma200w_break/{first.name}"):
        dl.run("absent", workspace=finished)


WHOLE = (pytest.mark.drawn(True), pytest.mark.otherwise(True))


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        pytest.param("tearsheet.html", 0, marks=WHOLE),
        pytest.param("metrics.json", -3, marks=WHOLE[1]),
        ("equity.parquet", 0),
        ("periods.toml", -3),
    ],
)
def test_a_changed_or_missing_file_is_made_anew(finished, name, ends):
    folder = run(finished).folder
    whole = (folder / name).read_bytes()
    for left in (-3 - ends, ends):  # the last harm is the one that is mended
        (folder / name).unlink() if left == 0 else (folder / name).write_bytes(whole[:left])
        with pytest.raises(StoreError, match=name):
            load_run(folder)
    assert not run(finished).cached
    assert (folder / name).read_bytes() == whole
    assert run(finished).cached


def test_a_manifest_that_is_none_is_made_anew(finished):
    folder = run(finished).folder
    (folder / "manifest.json").write_text("{}")
    assert not run(finished).cached


def test_a_run_keeps_the_periods_it_was_measured_on(finished):
    first = run(finished)
    catalogue = finished.root / "data" / "deleveraging.toml"
    catalogue.write_text(catalogue.read_text().replace("end = 2013-04-19", "end = 2013-04-22"))
    assert "end = 2013-04-22" in catalogue.read_text()
    pd.testing.assert_frame_equal(load_run(first.folder).metrics, first.metrics)


def test_what_a_strategy_writes_into_its_market_reaches_nobody(workspace):
    (workspace.strategies / "vandal.py").write_text(
        "import pandas as pd\n"
        "from delever.view import MarketView\n\n\n"
        "def vandal(market: MarketView) -> pd.Series:\n"
        "    market.bars.loc[:, :] = 1.0\n"
        "    return pd.Series(1.0, index=market.index)\n"
    )
    spoiled = run(workspace, "buy_and_hold", overrides={"strategy": "vandal"})
    honest = run(workspace, "buy_and_hold")
    pd.testing.assert_series_equal(spoiled.equity, honest.equity, check_freq=False)


def test_ruin_is_said_first(workspace):
    (workspace.strategies / "shorter.py").write_text(
        "import pandas as pd\n"
        "from delever.view import MarketView\n\n\n"
        "def shorter(market: MarketView) -> pd.Series:\n"
        "    return pd.Series(-1.0, index=market.index)\n"
    )
    done = run(workspace, "buy_and_hold", overrides={"strategy": "shorter"})
    assert any("the account was ruined in the bar of 2010-" in note for note in done.notes)


def test_a_run_read_back_shows_what_was_measured(workspace, monkeypatch):
    """From its folder while the code is the same, and measured anew by other code."""
    first = run(workspace)
    back = load_run(first.folder)
    for whose in ("metrics", "benchmark_metrics"):
        written, read = getattr(first.evaluation, whose), getattr(back.evaluation, whose)
        pd.testing.assert_frame_equal(read, written, check_exact=True)
    monkeypatch.setattr("delever.study.runs.archive.code_sha256", lambda: "another")
    anew = load_run(first.folder)
    pd.testing.assert_frame_equal(anew.evaluation.metrics, first.evaluation.metrics)
    assert list(anew.evaluation.lines) == ["50-week sma"]
    assert anew.answer.timing.reason.startswith("made by another version of the code")
    assert (anew.answer.redrawn is None) == (first.answer.redrawn is None)


def test_the_lines_of_a_strategy_stay_with_its_run(workspace):
    first = run(workspace)
    lines = first.evaluation.lines
    assert lines.index.equals(first.evaluation.bars.index)
    pd.testing.assert_frame_equal(
        load_run(first.folder).evaluation.lines, lines, check_exact=True, check_freq=False
    )
    weekly = first.evaluation.bars["close"].resample("1W").last()
    # The last bar knows the average of the 50 weeks closed by then: what pandas makes of them.
    closed = weekly[weekly.index < lines.index[-1]]
    np.testing.assert_allclose(lines["50-week sma"].iloc[-1], closed.iloc[-50:].mean())
    held = run(workspace, "buy_and_hold")
    assert held.evaluation.lines.shape == (len(held.evaluation.bars), 0)
    assert not (held.folder / "lines.parquet").exists()


def test_a_run_that_never_changes_its_exposure_says_so_first(workspace):
    said = "the exposure never changed: 100% from 2013-03-01 to the end"
    still = run(workspace, overrides={"start": "2013-03-01", "end": "2013-03-20"})
    assert still.notes[0].startswith(said)
    assert not any("never changed" in note for note in run(workspace).notes)
    held = run(workspace, overrides={"strategy": "buy_and_hold", "params": {}})
    assert not any("never changed" in note for note in held.notes)  # as it is meant to
    market = dl.market("sample/ohlcv/BTC/USD/1d", start="2014-08-01", end="2014-08-20")
    idle = dl.backtest(market, pd.Series(0.0, index=market.index), quick=True)
    assert idle.notes[0].startswith("the exposure never changed: 0% from ")
    held = dl.backtest(market, "buy_and_hold", quick=True)
    assert not any("never changed" in note for note in held.notes)
