"""``delever study signal``: rules by name, stored data, pages and JSON."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.cli.app import main
from delever.errors import ConfigError, InputError
from delever.research.null_markets import simulate_bars
from delever.research.signal.level_rules import RULES
from delever.research.signal.pool import pool_signals
from delever.research.signal.study import StudyDesign
from delever.stats.families import holm
from delever.study.inputs.market import with_network
from delever.study.research.signal_rules import (
    bind_rule,
    conditions_on,
    load_signals,
    parameters_for,
    signal_names,
    variants_of,
)
from delever.study.research.signal_study import signal_study

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]


def found(workspace, name, data, params=None, series=None):
    markets = [dl.market(one, series=series, workspace=workspace) for one in data]
    markets = [with_network(market, workspace.root) for market in markets]
    return load_signals(name, markets, params or {})


QUICK = ["--draws", "30", "--horizon", "7", "--decides", "7"]


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_a_study_of_the_sample_prints_tables_a_sentence_and_a_page(workspace, capsys):
    assert main(["study", "signal", "average", "--set", "weeks=50", *QUICK]) == 0
    printed = capsys.readouterr().out
    for said in ("50-week sma", "placebo", "close-only", "is found in", "further"):
        assert said in printed
    (page,) = workspace.results.glob("signals/*50-week-sma*/signal.html")
    text = page.read_text()
    assert "50-week sma" in text


@pytest.mark.otherwise(True)
def test_json_is_one_document_and_the_same_again(workspace, capsys, tmp_path):
    words = ["study", "signal", "round_number", "--json", *QUICK, "-o", str(tmp_path / "a.html")]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert main(words) == 0
    assert capsys.readouterr().out == first
    found = json.loads(first)
    assert set(found["comparisons"]) == {"7 all", "7 matched", "7 placebo"}
    assert found["verdict"] in {"higher", "lower", "undecided", "negligible", "too few"}
    assert found["outcomes"]["7"]["distinct"] > 50
    assert set(found["ladder"]) == {"0.95", "0.9", "0.8", "0.7"}
    assert (tmp_path / "a.html").is_file()


def test_several_markets_are_pooled(workspace):
    for name, seed in (("B/USD", 1), ("C/USD", 2)):
        workspace.catalog.add(simulate_bars(700, seed=seed), f"made/ohlcv/{name}/1d")
    design = StudyDesign(horizons=(5,), decides=5, draws=20)
    data = ["made/ohlcv/B/USD/1d", "made/ohlcv/C/USD/1d"]
    report = signal_study(
        "rolling_low",
        data,
        workspace=workspace,
        params={"weeks": 6},
        design=design,
        rungs=(0.95,),
        rung_bars=10,
        benchmark=data[0],
    )
    assert report.study.symbols == ("B/USD", "C/USD")
    assert report.data == tuple(data)
    assert report.ladder is not None
    assert report.abnormal is not None
    assert report.abnormal.model == "market"
    # A market is normal beside itself: what it does beyond itself is nothing.
    own = report.abnormal.events
    assert set(own["symbol"]) == {"C/USD"}
    left = report.abnormal.dropped
    beside = left.loc[left["symbol"] == "B/USD", "reason"]
    assert "no volatility known before the event" in set(beside)


@pytest.mark.drawn(True)
def test_further_levels_may_be_prices_and_breaks_may_go_up(workspace, capsys, tmp_path):
    words = ["study", "signal", "prices", "--json", *QUICK, "-o", str(tmp_path / "a.html")]
    given = "levels=[70_000.0, 65_000.0, 60_000.0]"
    assert main([*words, "--set", given, "--price", "60000", "--price", "65000"]) == 0
    down = json.loads(capsys.readouterr().out)
    assert list(down["ladder"]) == ["65000.0", "60000.0"]
    page = (tmp_path / "a.html").read_text()
    assert "Reaching 65,000.00" in page
    # The sample falls through 65,000 and 60,000 as well; these breaks are past the prices.
    assert "breaks of other levels are left out" in page
    assert main([*words, "--set", given, "--set", "side=above"]) == 0
    up = json.loads(capsys.readouterr().out)
    assert up["study"] == "break above 70000, 65000, 60000"
    assert set(up["ladder"]) == {"1.05", "1.1", "1.25", "1.5"}


def test_events_of_the_table_of_features_can_be_studied(workspace):
    workspace.catalog.add(simulate_bars(900, seed=3), "made/ohlcv/B/USD/1d")
    title, signals = found(workspace, "support_reclaim", ["made/ohlcv/B/USD/1d"], {"weeks": 6})
    assert title == "reclaim: the 6-week low, on closes"
    assert signals[0].event.any()
    # The warm-up is that of six weeks and not of the usual 26: from the bar after them on.
    assert signals[0].known.tolist() == [False] * 42 + [True] * 858
    for weeks in (50, 100):
        title, [signal] = found(
            workspace, "ma200w_break", ["made/ohlcv/B/USD/1d"], {"weeks": weeks}
        )
        assert title == f"break: the {weeks}-week sma, on weekly closes"
        assert signal.known.idxmax() == signal.market.index[7 * weeks - 1]
    assert signals[0].placebo is None
    report = signal_study(
        "support_reclaim",
        ["made/ohlcv/B/USD/1d"],
        workspace=workspace,
        params={"weeks": 6},
        design=StudyDesign(horizons=(5,), decides=5),
    )
    assert report.study.against == "matched"
    assert report.ladder is None


def test_the_shutdown_price_needs_difficulty_and_nothing_else(workspace):
    days = pd.date_range("2017-01-01", "2025-04-14", tz="UTC", name="timestamp")
    # At 98 J/TH, 12.5 coins and 0.08 USD/kWh a difficulty of 1e12 costs 748.28 USD per coin.
    difficulty = pd.DataFrame({"difficulty": 1e12}, index=days)
    workspace.catalog.add(
        difficulty, "made/series/DIFFICULTY/1d", publication_lag=pd.Timedelta("1D")
    )
    given = {"difficulty": "made/series/DIFFICULTY/1d"}
    _, [signal] = found(workspace, "shutdown", ["sample/ohlcv/BTC/USD/1d"], series=given)
    expected = 98 * 1e12 * 2**32 / 12.5 / 1e12 / 3.6e6 * 0.08
    assert signal.level.loc["2017-06-01"] == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx(748.28, abs=0.01)


@pytest.mark.drawn(True)
def test_why_a_part_is_missing_is_said(workspace):
    flat = simulate_bars(150, seed=4)
    rising = np.linspace(100, 300, 151)
    flat = flat.assign(open=rising[:-1], low=rising[:-1], high=rising[1:], close=rising[1:])
    workspace.catalog.add(flat, "made/ohlcv/UP/USD/1d")
    report = signal_study(
        "rolling_low",
        ["made/ohlcv/UP/USD/1d"],
        workspace=workspace,
        params={"weeks": 4},
        design=StudyDesign(horizons=(5,), decides=5, draws=5),
    )
    assert report.study.verdict == "too few"
    assert report.ladder is None
    assert report.abnormal is None
    assert "no event study: an event study needs at least one event" in report.notes[-1]
    assert report.page(workspace.results / "up.html").read_text().count("There is none") == 1


@pytest.mark.parametrize("name", sorted(set(RULES) - {"prices"}))
def test_every_rule_has_defaults_and_a_name(name):
    assert bind_rule(name, {}).name.startswith(("break of ", "break above "))
    assert name in signal_names()


def test_given_prices_are_a_list_and_required():
    assert bind_rule("prices", {"levels": [70_000.0, 60_000.0]}).name == "break of 70000, 60000"
    with pytest.raises(ConfigError, match="levels"):
        bind_rule("prices", {})


def test_several_signals_are_a_family_and_no_p_is_below_its_correction(workspace, capsys):
    workspace.catalog.add(simulate_bars(700, seed=3), "made/ohlcv/B/USD/1d")
    names = ["rolling_low", "round_number", "average"]
    words = ["study", "signal", *names, "--set", "average.weeks=10", "--set", "rolling_low.weeks=6"]
    words += ["--data", "made/ohlcv/B/USD/1d", *QUICK]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    together = [one["comparisons"]["7 placebo"]["p_value"] for one in found["studies"]]
    apart = []
    for name, params in zip(names, ({"weeks": 6}, {}, {"weeks": 10}), strict=True):
        design = StudyDesign(horizons=(7, 30, 90), decides=7, draws=30)
        data = "made/ohlcv/B/USD/1d"
        alone = signal_study(name, data, params, design=design, workspace=workspace)
        apart.append(alone.study.deciding["p_value"])
    assert together == pytest.approx(holm(apart).tolist())
    for one, p_value in zip(found["studies"], together, strict=True):
        assert all(row["p_value"] >= p_value for row in one["comparisons"].values())
        assert all(
            row["p_value"] is None or row["p_value"] >= p_value for row in one["ladder"].values()
        )
    assert f"{min(together):.3f}" in found["sentence"]
    tests = list(found["tests"].values())
    assert [one["p_alone"] for one in tests] == pytest.approx(apart)
    assert [one["p_holm"] for one in tests] == pytest.approx(together)
    for one in tests:
        assert 0.0 < one["p_stepm"] <= 1.0
        assert one["p_alone"] <= one["false_discoveries"] <= one["p_holm"] + 1e-9
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "signals together" in said
    left = next(line for line in said.splitlines() if line.startswith("not shown for want of"))
    assert "Verdict" not in left
    assert all(name in said for name in ("Verdict", "Holm"))
    assert said.count("Looked at again and again") == 3
    assert " 60 that is evidence whenever one stops" in " ".join(said.split())
    with pytest.raises(ConfigError, match="two signals or more"):
        dl.signal_family(["average"], workspace=workspace)


@pytest.mark.drawn(True)
def test_every_look_is_in_the_ledger_and_the_next_one_knows_of_it(workspace, capsys):
    bars = simulate_bars(900, seed=3)
    design = StudyDesign(horizons=(7, 30), decides=7, draws=30)

    def look(rows: int):
        market = dl.market(bars.iloc[:rows], timeframe="1d", symbol="B/USD")
        return signal_study("rolling_low", market, {"weeks": 6}, design=design, workspace=workspace)

    first, again, more = look(700), look(700), look(900)
    for one in (first, again):
        assert not any("asked before" in note for note in one.notes)
    told = f"asked before of data to {bars.index[699]:%Y-%m-%d}: p is for one look alone"
    assert any(note.startswith(told) for note in more.notes)
    assert "Looked at again and again" in more.html()
    pd.testing.assert_frame_equal(
        more.study.sequence.iloc[: len(first.study.sequence)], first.study.sequence
    )
    found = dl.trials(workspace=workspace)
    assert len(found.frame) == 0
    assert found.signals["horizon"].tolist() == [7, 30, 7, 30]
    assert "Signal studies put 2 questions" in found.headline
    assert "in 4 looks" in found.headline
    capsys.readouterr()
    assert main(["trials", "--workspace", str(workspace.root)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "low of 6 weeks" in said


def test_parameters_of_a_family_go_where_they_belong():
    names = ("average", "rolling_low", "round_number")
    given = {"weeks": 60, "average.average": "ema", "parts": 1}
    assert parameters_for(names, given) == [
        {"weeks": 60, "average": "ema"},
        {"weeks": 60},
        {"parts": 1},
    ]
    with pytest.raises(ConfigError, match="got 'bins'"):
        parameters_for(names, {"bins": 3})


@pytest.mark.drawn(True)
def test_a_signal_is_varied_and_split_by_conditions_on_its_page(workspace, capsys, tmp_path):
    words = ["study", "signal", "rolling_low", *QUICK, "-o", str(tmp_path / "a.html")]
    words += ["--vary", "weeks=[13, 26]", "--vary", 'rule=["average"]']
    words += ["--when", "fall_speed<-1"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "cells" in printed
    assert "fall_speed < -1" in printed
    text = (tmp_path / "a.html").read_text()
    assert "fig-map" in text
    assert "average: weeks 13" in text


def test_variants_are_every_combination_and_each_rule_takes_what_it_knows():
    found = variants_of("average", {"weeks": 100, "on": "close"}, {})
    assert len(found) == 3 * 3 * 3
    assert "average: weeks 50, average ema, confirm 2" in found
    assert found["average: weeks 50, average ema, confirm 2"].confirm == 2
    both = variants_of("average", {}, {"rule": ["round_number"], "weeks": [50, 60], "parts": [1]})
    assert list(both) == ["average: weeks 50", "average: weeks 60", "round_number: parts 1"]
    with pytest.raises(ConfigError, match="got 'bins'"):
        variants_of("average", {}, {"bins": [3]})
    with pytest.raises(ConfigError, match="a rule must be one of"):
        variants_of("average", {}, {"rule": ["nothing"]})


def test_a_condition_is_known_where_its_reading_is(workspace):
    workspace.catalog.add(simulate_bars(300, seed=3), "made/ohlcv/B/USD/1d")
    _, signals = found(workspace, "rolling_low", ["made/ohlcv/B/USD/1d"], {"weeks": 6})
    pool = pool_signals(signals)
    holds = conditions_on(pool, ["fall_speed<-1", "fall_speed >= -1"])
    assert list(holds) == ["fall_speed < -1", "fall_speed >= -1"]
    one, other = holds.values()
    assert np.array_equal(np.isnan(one), np.isnan(other))
    assert np.nansum(one + other) == np.isfinite(one).sum()
    for wrong in ("fall_speed", "fall_speed<low", "<3"):
        with pytest.raises(ConfigError, match="a condition must be a feature"):
            conditions_on(pool, [wrong])
    with pytest.raises(InputError, match="funding"):
        conditions_on(pool, ["daily_funding<0"])


def test_a_plan_says_how_many_events_it_takes(workspace, capsys):
    words = ["study", "plan", "rolling_low", "--effect", "0.25", "--draws", "50"]
    assert main([*words, "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    effects = [row["effect"] for row in planned["table"].values()]
    assert effects[0] > effects[-1]
    assert planned["events"] > planned["distinct"]
    assert main(words) == 0
    assert "An effect of 25.0% over 30 bars is found in 80%" in capsys.readouterr().out
    assert main([*words[:4], "1.5"]) == 2
    assert "between 0 and 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nothing"], 2, "a signal must be one of average"),
        (["average", "--set", "weeks=0"], 2, "weeks"),
        (["average", "--set", "weeks=20.0"], 2, "weeks"),
        (["average", "--set", "wekks=20"], 2, "wekks"),
        (["average", "--set", "on=monday"], 2, "on"),
        (["average", "--data", "a/ohlcv/B/1d"], 1, "a/ohlcv/B/1d"),
        (["average", "--smallest-effect", "-1"], 2, "smallest effect"),
        (["average", "--series", "funding"], 2, "NAME=REFERENCE"),
        (["shutdown"], 2, "difficulty"),
        (["rolling_low", "--draws", "2", "--rung", "1.2"], 2, "below 1"),
        (["rolling_high", "--draws", "2", "--rung", "0.9"], 2, "above 1"),
        (["average", "--rung", "0.9", "--price", "60000"], 2, "or prices, not both"),
        (["average", "--set", "side=up"], 2, "side"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(workspace, capsys, words, code, said):
    assert main(["study", "signal", *words]) == code
    printed = capsys.readouterr().err
    assert said in printed
    assert "defect" not in printed
    assert not list(workspace.trials.glob("*"))  # what is refused is no look


def test_known_breaks_of_the_200_week_average(workspace, shared_data):
    """Weekly closes fell below the simple average in March 2020 and in June 2022."""
    frame = pd.read_csv(shared_data / "btc_usd_1d_yahoo.csv", index_col=0)
    frame.index = pd.DatetimeIndex(pd.to_datetime(frame.index, utc=True)).as_unit("ns")
    frame.columns = frame.columns.str.lower()
    bars = frame[["open", "high", "low", "close", "volume"]].astype("float64").iloc[:-1]
    bars["high"] = bars[["open", "high", "low", "close"]].max(axis=1)
    bars["low"] = bars[["open", "high", "low", "close"]].min(axis=1)
    workspace.catalog.add(bars, "yahoo/ohlcv/BTC/USD/1d")
    _, signals = found(workspace, "average", ["yahoo/ohlcv/BTC/USD/1d"])
    event = signals[0].event
    days = [f"{day:%Y-%m-%d}" for day in event.index[event]]
    weekly = bars["close"][bars.index.day_name() == "Sunday"]
    below = weekly < weekly.rolling(200).mean()
    expected = weekly.index[below & ~below.shift(1, fill_value=False) & (weekly.index.year > 2018)]
    assert days == [f"{day:%Y-%m-%d}" for day in expected]
    assert days[0] == "2020-03-15"
    assert any(day.startswith("2022-06") for day in days)
