"""The functions of a notebook: what they take, and one sentence for what they do not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.deleveraging.detect import Detector, detect
from delever.deleveraging.overlap import overlap
from delever.errors import ConfigError, DeleverError, InputError
from delever.view import MarketView

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]


def test_a_result_without_a_headline_or_tables_cannot_be_made():
    class Half(dl.Result):
        headline = "half of one"

    with pytest.raises(TypeError, match=r"abstract method '?tables"):
        Half()


@pytest.fixture(scope="module")
def market():
    days = pd.date_range("2021-01-01", periods=40, tz="UTC", name="open_time")
    close = pd.Series([100.0 + 3 * (n % 7) for n in range(40)], index=days)
    prices = {"open": close, "high": close + 1, "low": close - 1, "close": close}
    return dl.MarketView(bars=pd.DataFrame(prices | {"volume": 1.0}), timeframe="1d")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"strategy": None},
            "strategy must be a name, a path, a loaded strategy, a function.*got None",
        ),
        ({"strategy": len}, "strategy must be a name"),
        ({"costs": 5}, r"costs must be dl.Costs.*got 5"),
        (
            {"market": "sample/ohlcv/BTC/USD/1d"},
            r"market must be a view, as dl.market makes it .*\(dl.market\(bars, timeframe=",
        ),
        ({"costs_times": "2"}, "costs_times must be a number of at least 0, .*; got '2'"),
        ({"costs_times": -1.0}, "costs_times must be a number of at least 0, .*; got -1.0"),
        ({"periods": ["covid"]}, r"periods must be a sequence of .*Period.*; got \['covid'\]"),
        ({"rule": "equal"}, "margin, rule and rule_params are of several symbols"),
        ({"start": 5}, "start must be a date or a time in UTC, .*; got 5"),
        ({"initial_equity": "10"}, "initial_equity must be a number"),
        ({"initial_equity": True}, "initial_equity must be a number"),
        (
            {"start": "soon"},
            "start must be a date or a time in UTC, such as 2021-05-19; got 'soon'",
        ),
        ({"end": pd.NaT}, "end must be a date"),
        ({"workspace": 5}, "workspace must be the path of a folder; got 5"),
    ],
)
def test_an_argument_of_another_kind_is_refused_in_one_sentence(workspace, market, changed, said):
    given = {"market": market, "strategy": "buy_and_hold"} | changed
    with pytest.raises(InputError, match=said) as caught:
        dl.backtest(given.pop("market"), given.pop("strategy"), **given)
    assert "\n" not in str(caught.value)


def test_what_is_no_reference_path_or_mapping_is_refused(workspace):
    for call in (
        lambda: dl.load(None),
        lambda: dl.market(5),
        lambda: dl.market("sample/ohlcv/BTC/USD/1d", series=["funding"]),
        lambda: dl.strategy(3),
        lambda: dl.run(None),
        lambda: dl.run("backtests/buy_and_hold.toml", set="params.weeks=150"),
    ):
        with pytest.raises(InputError, match=r"must be .*; got ") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: dl.check(), "what is checked must be a strategy file .*; got None"),
        (lambda m: dl.check(5), "what is checked must be a strategy file .*; got 5"),
        (lambda m: dl.check("fall_speed", seconds="x"), "seconds must be a number .*; got 'x'"),
        (lambda m: dl.result(5), "a result must be named by a text or a path; got 5"),
        (lambda m: dl.sweep(m, "buy_and_hold", ["weeks"]), r"axes must be .*; got \['weeks'\]"),
        (
            lambda m: dl.sweep(m, "ma200w_break", {"weeks": range(2, 10**12)}),
            "the axis 'weeks' must have at most 10,000,000 values",
        ),
        (
            lambda m: dl.measure(m.bars["close"].pct_change(), benchmark=m.bars, stamped="open"),
            "benchmark must be a Series of returns; got a DataFrame",
        ),
        (
            lambda m: dl.measure(m.bars["close"] * 0j, market=m, stamped="open"),
            "returns must be numbers, .*; got complex128",
        ),
        (
            lambda m: dl.uncertainty(m.bars["close"].pct_change().mask(m.index == m.index[3])),
            "returns must be there for every bar; that of 2021-01-04 .* is nan",
        ),
        (lambda m: dl.market(m.bars, timeframe="1h"), "hardly any is 1h, and most are 1d"),
        (
            lambda m: dl.market(pd.concat({"BTC": m.bars}, axis=1), timeframe="1d"),
            "bars need one row of column names; got 2",
        ),
        (
            lambda m: dl.market(m.bars, timeframe="1d", series={5: m.bars}),
            "series must be a mapping of names",
        ),
        (
            lambda m: dl.market(m.bars, timeframe="1d", start="2021-02-01", end="2021-01-05"),
            "start must be before end; got 2021-02-01 and 2021-01-05",
        ),
        (
            lambda m: dl.claims("backtests/ma200w_break.toml"),
            "holds a study, not claims; run: delever run",
        ),
    ],
)
def test_what_is_of_another_kind_is_told_what_is_wanted(workspace, market, call, said):
    with pytest.raises(DeleverError, match=said):
        call(market)


def test_exposures_of_ones_own_are_run(workspace, market):
    half = pd.Series(0.5, index=market.index)
    done = dl.backtest(market, half, costs=dl.Costs(), start="2021-01-05")
    # 0.5 held from the second fill on: 111 at the open of day 5 (100 + 3 * (4 % 7) = 112).
    assert done.evaluation.backtest.ledger["exposure"].iloc[-1] == pytest.approx(0.5, abs=0.05)
    assert done.name == "exposures"


README = Path(__file__).parents[2] / "README.md"


def test_the_example_of_the_readme_runs(workspace):
    text = README.read_text("utf-8")
    (example,) = re.findall(r"## In a notebook\n\n```python\n(.*?)```", text, re.DOTALL)
    for name in ("dl.Account", "dl.sweep", "dl.signal_study"):
        assert name in example
    exec(compile(example, "README.md", "exec"), {})
    assert (workspace.root / "ma200w.html").is_file()


def test_a_funded_perpetual_with_stops_takes_ten_lines(workspace):
    rng = np.random.default_rng(7)
    hours = pd.date_range("2023-01-01", periods=800, freq="4h", tz="UTC")
    close = pd.Series(20_000 * np.exp(np.cumsum(rng.normal(0, 0.01, 800))), hours)
    bars = pd.DataFrame({"open": close.shift(1, fill_value=20_000.0), "close": close})
    bars = bars.assign(high=bars.max(axis=1) * 1.002, low=bars.min(axis=1) * 0.998)
    rates = pd.Series(0.0001, pd.date_range("2022-12-31", "2023-06-01", freq="8h", tz="UTC"))
    notebook = """\
market = dl.market(bars, timeframe="4h", symbol="BTC/USDT:USDT")
account = dl.Account(
    contract="BTC/USDT:USDT", rules="binanceusdm", leverage=3, exposure=3,
    stop_loss=0.05, trailing_stop=0.1, funding=dl.FundingSeries.of(rates),
)
rise = market.bars["close"].pct_change(12)
run = dl.backtest(market, (rise > 0.02, rise < -0.02), account=account)
"""
    assert len(notebook.splitlines()) <= 10
    names = {"dl": dl, "bars": bars, "rates": rates}
    exec(notebook, names)
    run = names["run"]
    assert "stop_loss" in set(run.trades["exit_reason"])
    assert run.attribution.loc["whole", "funding"] < 0
    held = run.evaluation.backtest.ledger
    assert held["target_exposure"].max() == 3
    # Of what is given the stamps decide: every 8 h a long pays the rate on its notional.
    paid = held["funding"][held["funding"] != 0]
    assert set(paid.index.hour) <= {0, 8, 16}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    place = dl.init(tmp_path_factory.mktemp("face") / "workspace")
    market = dl.market("sample/ohlcv/BTC/USD/1d", end="2014-06-01", workspace=place)
    close = market.bars["close"]
    first = dl.run(
        place.backtests / "ma200w_break.toml",
        {"end": "2014-06-01", "params.weeks": 50},
        workspace=place,
    )
    second = dl.backtest(market, "support_breach", weeks=8, workspace=place)
    assert second.answer  # asked here, where no mark leaves anything out
    held = pd.DataFrame({n: (close > close.rolling(n).mean()).astype(float) for n in (20, 50)})
    design = dl.StudyDesign(horizons=(5,), decides=5, draws=10)
    found = [
        first,
        second,
        dl.compare(first, second),
        dl.sweep(market, "support_breach", {"weeks": [8, 12]}, workspace=place),
        dl.signal_study("round_number", market, design=design, workspace=place),
        dl.event_study(market, close.pct_change() < -0.15),
        dl.claims("backtests/claims_2026_02.toml", workspace=place),
        dl.state("2014-01-01", data="sample/ohlcv/BTC/USD/1d", workspace=place),
        dl.check("fall_speed", data=market, points=1, seconds=0, workspace=place),
        dl.periods(market, workspace=place),
        dl.detect(market),
        dl.runs(workspace=place),
        dl.screen(market, held),
        dl.uncertainty(second),
    ]
    return {f"{type(one).__name__}{place}": one for place, one in enumerate(found)}


@pytest.mark.drawn(True)
def test_every_result_has_one_face(results, tmp_path):
    for name, one in results.items():
        assert isinstance(one, dl.Result), name
        assert one.headline, name
        assert "\n" not in one.headline, name
        assert len(repr(one)) < 1_000, name
        assert one.headline[:100] in " ".join(repr(one).split()), name
        assert all(isinstance(table, pd.DataFrame) for table in one.tables.values()), name
        assert all(hasattr(figure, "to_plotly_json") for figure in one.figures.values()), name
        assert json.loads(json.dumps(one.to_dict(), allow_nan=False)), name
        shown = one._repr_html_()
        assert "<table" in shown, name
        assert not one.figures or "plotly" in shown, name
        page = one.page(tmp_path / "pages" / f"{name}.html")
        assert "<main>" in page.read_text("utf-8"), name


def test_the_list_of_runs_leads_back_to_the_run(results):
    runs = next(one for one in results.values() if isinstance(one, dl.Runs))
    first = next(one for one in results.values() if isinstance(one, dl.Run))
    (identity,) = runs.frame.index
    assert runs.frame.loc[identity, "params"]["weeks"] == 50
    assert runs.frame.loc[identity, "total_return"] == first.metrics.loc["total_return", "whole"]
    again = dl.run(identity, workspace=first.folder.parents[3])
    assert again.folder == first.folder


def test_a_strategy_is_what_is_at_hand(workspace, market):
    def above(market: dl.MarketView, *, days: int = 5) -> pd.Series:
        close = market.bars["close"]
        return (close > close.rolling(days).mean()).astype(float)

    close = market.bars["close"]
    line = close.rolling(5).mean()
    text = "import pandas as pd\nfrom delever.view import MarketView\n\n\n"
    text += "def above(market: MarketView, *, days: int = 5) -> pd.Series:\n"
    text += '    close = market.bars["close"]\n'
    text += "    return (close > close.rolling(days).mean()).astype(float)\n"
    (workspace.strategies / "above.py").write_text(text)
    forms = [above, "above", workspace.strategies / "above.py", above(market)]
    forms += [dl.strategy(above), (close > line, close <= line)]
    runs = [dl.backtest(market, form, start="2021-01-07") for form in forms]
    for run in runs[1:]:
        pd.testing.assert_series_equal(run.equity, runs[0].equity)
    assert runs[0].name == runs[1].name == "above"
    shorter = dl.backtest(market, above, days=3, start="2021-01-07")
    assert not shorter.equity.equals(runs[0].equity)


def test_entries_and_exits_hold_from_one_to_the_other(market):
    flags = pd.DataFrame(False, index=market.index, columns=["in", "out"])
    flags.iloc[[2, 6], 0] = True
    flags.iloc[[6, 9], 1] = True  # both at once change nothing
    held = dl.backtest(market, (flags["in"], flags["out"]), costs=dl.Costs(), start="2021-01-02")
    position = held.evaluation.backtest.ledger["position"] != 0
    assert position[position].index.tolist() == market.index[3:10].tolist()
    with pytest.raises(InputError, match="entries must be a Series of booleans"):
        dl.backtest(market, (flags["in"].astype(int), flags["out"]))
    with pytest.raises(InputError, match="must stand on one index"):
        dl.backtest(market, (flags["in"], flags["out"].iloc[:-1]))


def test_a_sweep_of_a_market_is_its_single_runs(workspace, market):
    axes = {"weeks": [1, 2], "costs.taker_fee": [0.0, 0.01]}
    swept = dl.sweep(market, "support_breach", axes)
    assert swept.axes == ("weeks", "costs.taker_fee")
    assert (swept.frame["error"] == "").all()
    for _, row in swept.frame.iterrows():
        costs = dl.Costs(taker_fee=row["costs.taker_fee"], slippage=0.0005)
        run = dl.backtest(market, "support_breach", weeks=int(row["weeks"]), costs=costs)
        for name in ("total_return", "sharpe_ratio", "max_drawdown"):
            assert row[name] == pytest.approx(run.metrics.loc[name, "whole"], rel=1e-9)
    for wrong, said in (
        ({}, "axes must be given"),
        ({"account.bounds": [True]}, "one of costs.maker_fee"),
    ):
        with pytest.raises(InputError, match=said):
            dl.sweep(market, "support_breach", wrong)
    with pytest.raises(ConfigError, match="wekks"):
        dl.sweep(market, "support_breach", {"wekks": [1]})


def frame(rows=10):
    days = pd.date_range("2026-01-05", periods=rows, tz="UTC")
    return pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], 5.0), index=days)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"timeframe": None}, "needs the timeframe of its bars"),
        ({"data": frame().tz_localize(None)}, "stamps must carry a time zone; got naive ones"),
        ({"data": frame().assign(high=1.0)}, r"row 1 \(2026-01-05 00:00\) has high = 1.0"),
        ({"data": frame().drop(columns="low")}, "missing low"),
        ({"data": frame(), "timeframe": "1w"}, "row 2 .* is not an open time of 1w bars"),
        ({"start": "2027-01-01"}, "start must leave a bar"),
        ({"end": "2026-01-05"}, "end must leave a bar"),
        ({"series": {"mood": 5}}, "series mood must be a reference"),
        ({"series": {"mood": frame()["close"].iloc[:1]}}, "needs its publication lag"),
    ],
)
def test_a_frame_is_checked_as_an_import_is(workspace, changed, said):
    given = {"data": frame(), "timeframe": "1d"} | changed
    with pytest.raises(DeleverError, match=said):
        dl.market(given.pop("data"), **given)


def test_a_market_of_frames_knows_its_warm_up_and_lags(workspace):
    bars = frame()
    mood = pd.Series(range(10), bars.index, dtype=float)
    lagged = (mood, pd.Timedelta("36h"))
    seen = dl.market(
        bars.iloc[4:],
        warmup=bars.iloc[:4],
        timeframe="1d",
        start="2026-01-11",
        end="2026-01-14",
        series={"own": mood, "late": lagged},
    )
    assert len(seen.index) == 9
    assert seen.trading_start == pd.Timestamp("2026-01-11", tz="UTC")
    assert seen.series("own").tolist() == [float(n) for n in range(9)]  # a day after its stamp
    assert seen.series("late").iloc[:3].isna().tolist() == [True, False, False]
    assert seen.series("late").iloc[2] == 1.0
    assert seen.symbol == ""


def test_without_a_workspace_the_shipped_files_serve(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    market = dl.market("sample/ohlcv/BTC/USD/1d", end="2012-01-01")
    assert dl.backtest(market, "buy_and_hold").name == "buy_and_hold"
    with pytest.raises(InputError, match="delever init"):
        dl.run("backtests/buy_and_hold.toml")


def test_what_is_no_number_or_no_text_is_refused(workspace, market):
    words = pd.Series("in", index=market.index)
    run = dl.backtest(market, "buy_and_hold")
    for call, said in (
        (lambda: dl.backtest(market, words), "target exposures must be numbers"),
        (lambda: dl.screen(market, pd.DataFrame({"a": words})), "the column a holds others"),
        (lambda: run.counterfactual(2.0), "a counterfactual must be .*; got 2.0"),
    ):
        with pytest.raises(InputError, match=said):
            call()


def test_a_percentage_for_a_fraction_is_asked_about_wherever_costs_are_given(workspace, market):
    dear = dl.Costs(taker_fee=0.1)
    held = pd.DataFrame({"in": 1.0}, index=market.index)
    for call in (
        lambda **more: dl.backtest(market, "buy_and_hold", costs=dear, **more),
        lambda **more: dl.screen(market, held, costs=dear, **more),
        lambda **more: dl.sweep(
            market, held["in"], {"costs.taker_fee": [0.1]}, costs=dl.Costs(), **more
        ),
    ):
        with pytest.raises(InputError, match=r"0\.1 of it are 10 per cent.*--really"):
            call()
        assert call(really=True) is not None
    with pytest.raises(InputError, match="10 per cent"):
        dl.walk_forward(market, "support_breach", {"weeks": [2]}, costs=dear)


def test_the_speed_of_a_fall_is_one_of_days_on_finer_bars() -> None:
    rng = np.random.default_rng(4)
    hours = pd.date_range("2019-10-01", periods=1_500, freq="4h", tz="UTC", name="open_time")
    moves = rng.normal(0, 0.01, len(hours))
    moves[[900, 1_000]] -= 0.3
    close = pd.Series(1e4 * np.exp(np.cumsum(moves)), index=hours)
    bars = pd.DataFrame({"open": close, "high": close, "low": close, "close": close})
    market = MarketView(bars=bars.assign(volume=1.0), timeframe="4h")
    found = dl.periods(market)
    by_hand = detect(close, Detector(fall_bars=42, volatility_bars=540, calm_bars=18)).iloc[582:]
    expected = overlap(by_hand, found.catalogue, "4h", join_days=7)
    assert found.rules["speed of the fall"].bar_recall == expected.bar_recall
    assert found.rules["speed of the fall"].alarms == expected.alarms > 0
    short = MarketView(bars=bars.iloc[:580].assign(volume=1.0), timeframe="4h")
    with pytest.raises(InputError, match="more than 582 bars"):
        dl.periods(short)
