"""What a workspace adds is taken in everywhere; docs/extending.md runs as it stands."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

import delever as dl
from delever.cli.app import main
from delever.errors import ConfigError, StrategyError
from delever.study.workspaces import extensions as room

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCKS = dict(
    re.findall(r"```python\n# (extensions/\w+\.py)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
)
QUICK = {"end": "2013-01-01", "params.weeks": 20}


@pytest.fixture
def extended(workspace):
    (workspace.root / "extensions").mkdir()
    for name, text in BLOCKS.items():
        (workspace.root / name).write_text(text)
    return workspace


def test_the_page_names_every_kind():
    text = PAGE.read_text("utf-8")
    for kind in room.KINDS:
        assert f"`{kind.upper()}`" in text


@pytest.mark.drawn(True)
def test_a_metric_is_in_runs_pages_json_and_sweeps(extended, capsys):
    run = dl.run("backtests/ma200w_break.toml", QUICK)
    returns = run.evaluation.backtest.returns
    assert run.metrics.loc["median_bar", "whole"] == returns.median()
    assert "Median bar" in run.html()
    assert "median_bar" in run.to_dict()["metrics"]["inside"]
    again = dl.run("backtests/ma200w_break.toml", QUICK)
    assert again.cached
    assert again.metrics.loc["median_bar", "whole"] == returns.median()
    market = dl.market("sample/ohlcv/BTC/USD/1d", end="2013-01-01")
    swept = dl.sweep(market, "ma200w_break", {"weeks": [20, 30]})
    assert swept.frame["median_bar"].iloc[0] == pytest.approx(returns.median(), rel=1e-9)
    ours = dl.backtest(market, "ma200w_break", weeks=20)
    assert ours.metrics.loc["median_bar", "whole"] == returns.median()


def test_a_changed_extension_makes_a_new_run(extended):
    first = dl.run("backtests/ma200w_break.toml", QUICK)
    file = extended.root / "extensions" / "median_bar.py"
    file.write_text(file.read_text() + "\n# a remark\n")
    second = dl.run("backtests/ma200w_break.toml", QUICK)
    assert not second.cached
    assert first.manifest["run_id"] != second.manifest["run_id"]
    assert set(second.manifest["extensions"]) == {Path(name).name for name in BLOCKS}


@pytest.mark.drawn(True)
def test_a_cost_model_is_paid_in_studies_and_sweeps(extended):
    path = extended.backtests / "thin.toml"
    plain = 'strategy = "buy_and_hold"\ndata = "sample/ohlcv/BTC/USD/1d"\nend = 2013-01-01\n'
    path.write_text(plain + "[costs]\nslippage = 0.0\n[costs.models.ThinMarket]\nusual = 0.01\n")
    run = dl.run(path)
    fill = run.evaluation.backtest.fills.iloc[0]
    bars = dl.market("sample/ohlcv/BTC/USD/1d").bars
    volume = bars["volume"][bars.index < fill["time"]].iloc[-20:]
    with np.errstate(divide="ignore", invalid="ignore"):
        worse = 0.01 * np.nan_to_num(np.clip(volume.mean() / volume.iloc[-1], 1.0, 10.0), nan=10.0)
    assert fill["price"] == pytest.approx(bars["open"][fill["time"]] * (1.0 + worse))
    path.write_text(path.read_text() + "[sweep.costs]\ntaker_fee = [0.001]\n")
    swept = dl.sweep(path).frame["total_return"].iloc[0]
    assert swept == pytest.approx(run.metrics.loc["total_return", "whole"], rel=1e-9)
    with pytest.raises(ConfigError, match=r"costs.models.ThinMarket: .*'unusual'"):
        dl.run(path, {"costs.models": {"ThinMarket": {"unusual": 1.0}}})
    with pytest.raises(ConfigError, match=r"name one of .*ThinMarket.*; got 'Thin'"):
        dl.run(path, {"costs.models": {"Thin": {}}})


def test_a_rule_of_ones_own_is_studied_by_name(extended, capsys):
    words = ["study", "signal", "last_high", "--set", "bars=30", "--draws", "20"]
    assert main(words) == 0
    assert "highest close of 30 bars" in capsys.readouterr().out
    assert main([*words[:3], "--set", "bars=0"]) == 2


def test_a_claim_may_name_a_computation_of_ones_own(extended):
    (extended.root / "claims.toml").write_text(
        'title = "Mine"\n[series]\n'
        'bitcoin = { what = "daily bars", data = "sample/ohlcv/BTC/USD/1d" }\n'
        '[[claim]]\nid = "cheap"\nstatement = "Mostly below 1,000"\nsaid = 2015-01-01\n'
        '[[claim.measure]]\nlabel = "days"\ncompute = "share_below"\nseries = "bitcoin"\n'
        "at = 2015-01-01\nlevel = 1000.0\nexpects = { above = 0.5 }\n"
    )
    assert dl.claims("claims.toml").audited[0].verdict == "confirmed"


def test_a_feature_of_ones_own_is_checked(extended, capsys):
    assert main(["check", "gain", "--points", "2", "--seconds", "0", "--set", "bars=3"]) == 0
    assert capsys.readouterr().out.startswith("gain: passed, with the future changed after ")
    file = extended.root / "extensions" / "gain.py"
    file.write_text(file.read_text().replace("pct_change(bars)", "pct_change(bars).shift(-1)"))
    assert main(["check", "gain", "--points", "2", "--as-test"]) == 1
    said = capsys.readouterr().out
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        exec(f"{said}\ntest_gain_does_not_see_the_future()", {})


def test_a_vendor_of_ones_own_is_imported(extended):
    (extended.root / "ticks.csv").write_text(
        "day,open,high,low,close\n2026-01-01,1,3,1,2\n2026-01-02,2,2,1,1\n"
    )
    words = ["data", "import", "--from", "ticks", "ticks.csv", "--venue", "mine"]
    assert main([*words, "--symbol", "BTC/USD"]) == 0
    assert dl.load("mine/ohlcv/BTC/USD/1d").frame["close"].tolist() == [2.0, 1.0]


@pytest.mark.drawn(True)
def test_a_section_stands_on_the_tear_sheet(extended):
    run = dl.run("backtests/ma200w_break.toml", QUICK)
    for text in (run.html(), (run.folder / "tearsheet.html").read_text("utf-8")):
        assert 'id="worst-bars"' in text
    assert 'id="worst-bars"' in dl.run("backtests/ma200w_break.toml", QUICK).html()


def test_a_package_is_found_by_its_entry_point(workspace, tmp_path, monkeypatch):
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    assert workspace.extensions.metrics == ()
    (site / "my_delever_metrics.py").write_text(BLOCKS["extensions/median_bar.py"])
    named = site / "mine-1.0.dist-info"
    named.mkdir()  # installed while the process runs
    (named / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (named / "entry_points.txt").write_text(f"[{room.GROUP}]\nmine = my_delever_metrics\n")
    assert [one.__name__ for one in workspace.extensions.metrics] == ["median_bar"]
    assert workspace.extensions.sources == {"my_delever_metrics": "1.0"}
    gone = EntryPoint(name="mine", value="not_there", group=room.GROUP)
    monkeypatch.setattr(room, "_installed", lambda: (gone,))
    with pytest.raises(ConfigError, match=r"mine = not_there of group delever must name a module"):
        _ = workspace.extensions


def test_what_is_wrong_with_an_extension_is_said(workspace):
    folder = workspace.root / "extensions"
    folder.mkdir()
    (folder / "broken.py").write_text("METRICS = 5\n")
    with pytest.raises(ConfigError, match=r"broken\.py: METRICS must be a tuple .* got int"):
        _ = workspace.extensions
    (folder / "broken.py").write_text("1 / 0\n")
    with pytest.raises(StrategyError, match=r"broken\.py:1: ZeroDivisionError"):
        _ = workspace.extensions
