"""What is said of a sweep's best is what single runs say, worked out anew."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import delever as dl
from delever.errors import InputError, StoreError
from delever.report.pages.sweep_page import render
from delever.report.sweep_words import compared, headline, reasons, trials, verdict
from delever.stats.selection import effective_trials
from delever.stats.superior import best_of_many
from delever.study.sweeps.sweep_result import read_sweep

pytestmark = pytest.mark.drawn(False)

AXES = {"weeks": [20, 30, 50], "average": ["sma", "wma"], "costs.taker_fee": [0.0, 0.002]}


@pytest.fixture(scope="module")
def market():
    return dl.market("sample/ohlcv/BTC/USD/1d", end="2017-01-01")


@pytest.fixture(scope="module")
def swept(market):
    return dl.sweep(market, "ma200w_break", AXES, start="2012-06-01")


def single(market, row: pd.Series) -> dl.Run:
    return dl.backtest(
        market,
        "ma200w_break",
        start="2012-06-01",
        costs=dl.Costs(taker_fee=row["costs.taker_fee"], slippage=0.0005),
        weeks=int(row["weeks"]),
        average=row["average"],
    )


@pytest.fixture(scope="module")
def runs(market, swept):
    return [single(market, row) for _, row in swept.frame.iterrows()]


def test_the_deflated_ratio_is_that_of_the_single_runs_returns(swept, runs) -> None:
    returns = np.array([run.evaluation.backtest.returns for run in runs])
    ratios = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
    edges = np.linspace(0, returns.shape[1], 17).round().astype(int)
    blocks = np.add.reduceat(returns, edges[:-1], axis=1)
    sums = swept.sums.to_numpy()[:, : 4 * 16]
    np.testing.assert_allclose(sums[:, ::4], blocks, rtol=0, atol=1e-10)
    squares = np.add.reduceat(returns**2, edges[:-1], axis=1)
    np.testing.assert_allclose(sums[:, 1::4], squares, rtol=0, atol=1e-10)
    growth = np.add.reduceat(np.log1p(returns), edges[:-1], axis=1)
    np.testing.assert_allclose(sums[:, 2::4], growth, rtol=0, atol=1e-10)
    found, best = swept.deflation, returns[int(ratios.argmax())]
    size, ratio = len(best), float(ratios.max())
    around = (best - best.mean()) / best.std()
    skew, kurtosis = (around**3).mean(), (around**4).mean()
    effective = effective_trials(blocks)
    spread = max(ratios.std(ddof=1), 1.0 / math.sqrt(size - 1))
    euler = 0.5772156649015329
    expected = spread * (
        (1.0 - euler) * norm.ppf(1.0 - 1.0 / effective)
        + euler * norm.ppf(1.0 - 1.0 / (effective * math.e))
    )
    error = math.sqrt((1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2) / (size - 1))
    assert found.sharpe == pytest.approx(ratio * math.sqrt(365.0), rel=1e-9)
    assert (found.bars, found.trials) == (size, 12)
    assert (found.skew, found.kurtosis) == pytest.approx((skew, kurtosis), rel=1e-9)
    assert found.effective == pytest.approx(effective, rel=1e-6)
    assert found.expected == pytest.approx(max(expected, 0.0) * math.sqrt(365.0), rel=1e-6)
    assert found.deflated == pytest.approx(norm.cdf((ratio - expected) / error), rel=1e-6)
    tested = best_of_many(blocks)
    assert found.chance == pytest.approx(tested.p_values[int(ratios.argmax())], rel=1e-9)


def test_what_it_has_above_holding_is_judged_beside_holding(swept, runs) -> None:
    best = runs[swept.terrain.peak].evaluation
    one, other = best.backtest.returns.to_numpy(), best.benchmark.returns.to_numpy()
    own, held = one.mean() / one.std(ddof=1), other.mean() / other.std(ddof=1)
    found = swept.deflation
    assert found.above == pytest.approx((own - held) * math.sqrt(365.0), rel=1e-9)
    # The influence of every bar on both ratios, and log growth, block by block.
    returns = np.array([run.evaluation.backtest.returns for run in runs])
    edges = np.linspace(0, returns.shape[1], 17).round().astype(int)

    def influence(made):
        z = (made - made.mean()) / made.std()
        ratio = made.mean() / made.std()
        moved = ratio + z - ratio / 2.0 * (z**2 - 1.0)
        return np.add.reduceat(moved, edges[:-1]) / len(made)

    above = best_of_many([influence(made) - influence(other) for made in returns])
    assert found.chance_above == pytest.approx(above.p_values[swept.terrain.peak], abs=2e-3)
    assert found.family_above == pytest.approx(above.p_value, abs=2e-3)
    grown = np.add.reduceat(np.log1p(returns) - np.log1p(other), edges[:-1], axis=1)
    assert found.family_growth == pytest.approx(best_of_many(grown).p_value, abs=2e-3)
    assert (found.better, found.better_growth) == (above.better.sum(), 0)


@pytest.mark.drawn(True)
def test_the_best_of_the_first_half_are_tested_on_bars_that_had_no_say(market, swept, runs) -> None:
    found = swept.finalists
    returns = np.array([run.evaluation.backtest.returns for run in runs])
    half = returns[:, : np.linspace(0, returns.shape[1], 17).round().astype(int)[8]]
    ratios = half.mean(axis=1) / half.std(axis=1, ddof=1)
    assert len(found.table) == 10
    assert found.table["chosen"].iloc[0] == ratios.argmax()
    assert found.table["before"].is_monotonic_decreasing
    middle = market.index[market.index.get_loc(runs[0].evaluation.bars.index[0]) + half.shape[1]]
    assert found.start == middle + pd.Timedelta(days=30)
    held = runs[0].evaluation.benchmark.returns[found.start :]
    for row in found.table.to_dict("records"):
        own = runs[row["chosen"]].evaluation.backtest.returns[found.start :]
        assert row["after"] == pytest.approx(own.mean() / own.std() * math.sqrt(365.0), rel=1e-9)
        growth = (np.log1p(own) - np.log1p(held)).mean() * 365.0
        assert row["growth"] == pytest.approx(growth, abs=2e-3)  # it begins anew there
    assert found.consistent == pytest.approx(found.table["p_value"].min(), abs=1e-12)
    assert found.lower <= found.consistent <= found.upper
    assert found.table["best_set"].max() == 1.0
    page = swept.html()
    assert "Best of the first half" in page
    assert f"p = {found.consistent:.3f}" in page


def test_a_later_bar_changes_nothing_of_who_is_put_to_the_test(market, swept) -> None:
    bars = market.bars.copy()
    late = bars.index >= swept.finalists.start
    bars.loc[late] *= np.linspace(1.0, 0.2, late.sum())[:, None]
    other = dl.market(bars, timeframe="1d", symbol=market.symbol)
    again = dl.sweep(other, "ma200w_break", AXES, start="2012-06-01").finalists
    pd.testing.assert_frame_equal(
        again.table[["chosen", "before"]], swept.finalists.table[["chosen", "before"]]
    )
    assert not np.allclose(again.table["after"], swept.finalists.table["after"])


def test_tables_name_the_combinations_that_were_chosen_though_others_have_no_result(market) -> None:
    axes = {"weeks": [9_000, 20, 30, 50]}
    found = dl.sweep(market, "ma200w_break", axes, start="2012-06-01")
    assert found.frame["error"].iloc[0]
    tables = (found.choosing.periods, found.choosing.eras, found.finalists.table)
    for table in tables:
        assert table["chosen"].between(1, 3).all()
    assert (found.splits["chosen"] >= 1).all()
    plain = dl.sweep(market, "ma200w_break", {"weeks": axes["weeks"][1:]}, start="2012-06-01")
    assert (found.choosing.eras["chosen"] == plain.choosing.eras["chosen"] + 1).all()


def test_the_benchmark_is_the_single_runs_benchmark(swept, runs) -> None:
    best = runs[swept.terrain.peak].evaluation
    for name in ("sharpe_ratio", "total_return", "max_drawdown"):
        own = best.benchmark_metrics.loc[name, "whole"]
        assert swept.benchmark[name] == pytest.approx(own, rel=1e-12)
    inside = best.benchmark_metrics.loc["total_return", "inside"]
    assert swept.benchmark["inside_total_return"] == pytest.approx(inside, rel=1e-12)
    table = compared(swept)
    assert list(table)[-1] == "buy and hold"
    assert table.loc["sharpe_ratio", "best"] == swept.frame["sharpe_ratio"].max()
    assert table.loc["liquidations", "buy and hold"] == 0.0


def test_neighbours_share_words_and_fees(swept) -> None:
    frame = swept.frame.set_index(["weeks", "average", "costs.taker_fee"])["sharpe_ratio"]
    for _, row in swept.frame.iterrows():
        own = (row["average"], row["costs.taker_fee"])
        beside = {20: [30], 30: [20, 50], 50: [30]}[row["weeks"]]
        expected = np.median([frame[(weeks, *own)] for weeks in beside])
        assert row["neighbours_sharpe_ratio"] == pytest.approx(expected, rel=1e-12)


def test_the_sentences_say_the_figures(swept) -> None:
    said = headline(swept)
    assert said == swept.headline
    found = swept.deflation
    assert f", has a Sharpe ratio of {found.sharpe:.2f}, buy and hold over the same bars " in said
    assert f"over the same bars {swept.benchmark['sharpe_ratio']:.2f}: " in said
    assert verdict(found, "buy and hold") in said
    assert said.count(". ") == 0
    assert trials(found.effective) in swept.grounds[0]
    assert trials(1.02) == "one effective trial"
    assert (trials(37.4), trials(2.66)) == ("37 effective trials", "2.7 effective trials")


@pytest.mark.parametrize(
    ("chance", "above", "beyond", "words"),
    [
        (0.3, 0.2, 0.001, "luck explains it"),
        (0.01, -0.2, 1.0, "more than luck, but no more than buy and hold had"),
        (0.01, 0.2, 0.4, "luck explains what it has above buy and hold"),
        (0.01, 0.2, 0.01, "more than luck"),
        (0.01, math.nan, math.nan, "more than luck"),
    ],
)
def test_the_verdict_follows_from_both_chances(swept, chance, above, beyond, words) -> None:
    from dataclasses import replace

    found = replace(swept.deflation, chance=chance, above=above, chance_above=beyond)
    assert verdict(found, "buy and hold") == words


def test_trials_of_an_earlier_sweep_count_as_what_they_are_worth(workspace, monkeypatch) -> None:
    study = workspace.backtests / "one.toml"
    text = (
        'strategy = "ma200w_break"\ndata = "sample/ohlcv/BTC/USD/1d"\nend = 2017-01-01\n'
        "start = 2012-06-01\n[sweep.params]\nweeks = [20, 30]\n"
    )
    study.write_text(text)
    first = dl.sweep(study, workspace=workspace, workers=1)
    more = dl.sweep(study, workspace=workspace, workers=1, set={"params.confirm_weeks": 2})
    assert more.deflation.trials == 4
    alone = effective_trials(more.sums.to_numpy()[:, : 4 * 16 : 4])
    earlier = effective_trials(first.sums.to_numpy()[:, : 4 * 16 : 4])
    assert 1.0 < earlier < 1.9
    assert more.deflation.effective == pytest.approx(alone + earlier, rel=1e-9)
    assert (first.deflation.trials, first.deflation.effective) == (2, pytest.approx(earlier))
    by_half = dl.sweep(study, workspace=workspace, workers=1, set={"sweep.params.weeks": [30, 50]})
    own = effective_trials(by_half.sums.to_numpy()[:, : 4 * 16 : 4])
    # One of its two trials is the first sweep's.
    assert by_half.deflation.trials == 5
    assert by_half.deflation.effective == pytest.approx(own + earlier / 2 + alone, rel=1e-9)
    dl.run(study, workspace=workspace, set={"params.weeks": 77}, workers=1)
    last = dl.sweep(study, workspace=workspace, workers=1, fresh=True)
    expected = earlier + (alone + own / 2 + 1.0)
    assert last.deflation.effective == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr("delever.study.kept.provenance.code_sha256", lambda: "of other code")
    other = dl.sweep(study, workspace=workspace, workers=1)
    assert other.folder != last.folder
    assert other.deflation.effective == pytest.approx(expected, rel=1e-9)
    monkeypatch.undo()
    again = dl.result(more.folder, workspace=workspace)
    assert isinstance(again, dl.Sweep)
    pd.testing.assert_frame_equal(again.sums, more.sums)
    pd.testing.assert_series_equal(again.benchmark, more.benchmark)
    assert (again.terrain, again.headline) == (more.terrain, more.headline)
    assert again.to_dict() == {**more.to_dict(), "resumed": 2}


@pytest.mark.drawn(True)
def test_a_few_bars_and_a_rule_that_never_holds_are_said(market) -> None:
    few = dl.sweep(market, "ma200w_break", {"weeks": [20, 30]}, start="2016-12-20")
    assert few.deflation is None
    assert "do not tell how much of it is the luck" in few.headline

    def never(market, *, k: int = 1):
        return pd.Series(0.0, index=market.index)

    none = dl.sweep(market, never, {"k": [1, 2, 3]})
    assert none.headline == "None of 3 combinations has a Sharpe ratio."
    [row] = reasons(none.frame).itertuples()
    assert "never held anything" in row.Index
    assert row.combinations == 3
    page = none.html()
    assert "never held anything" in page
    for each in (few.html(), page):
        assert ">nan<" not in each.lower()
    assert none.to_dict()["benchmark"] is None


@pytest.mark.parametrize("shares", [[0.2, 0.4], [0.2, 0.4, 0.5, 0.6, 0.8]])
def test_dice_without_a_seed_are_said_and_dice_with_one_are_not(market, shares) -> None:
    def thrown(seen: dl.MarketView, rng: np.random.Generator, share: float) -> pd.Series:
        return pd.Series((rng.random(len(seen.index)) < share) * 1.0, seen.index)

    def seeded(market: dl.MarketView, *, share: float = 0.5) -> pd.Series:
        return thrown(market, np.random.default_rng(7), share)

    runs = iter(range(1_000))

    def dice(market: dl.MarketView, *, share: float = 0.5) -> pd.Series:
        return thrown(market, np.random.default_rng(next(runs)), share)

    few = dl.market(market.bars.iloc[-300:], timeframe="1d", symbol="BTC/USD")
    found = dl.sweep(few, dice, {"share": shares})
    assert found.notes[0].startswith("not repeatable: the best combination had a total return of ")
    assert not any("repeatable" in note for note in dl.sweep(few, seeded, {"share": shares}).notes)


def test_an_axis_may_hold_none() -> None:
    days = pd.date_range("2020-01-01", periods=300, tz="UTC", name="open_time")
    close = pd.Series(100.0 + np.sin(np.arange(300.0)).cumsum(), days)
    bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], close) | {"volume": 1.0})

    def above(
        market: dl.MarketView, *, days: int | None = None, kind: str | None = None
    ) -> pd.Series:
        line = market.bars["close"].rolling(days or 10).mean()
        return (market.bars["close"] > line).astype(float).where(line.notna())

    axes = {"params.days": [None, 5, 10], "params.kind": ["sma", None]}
    found = dl.sweep(dl.market(bars, timeframe="1d", symbol="A/B"), above, axes)
    assert found.frame["params.days"].tolist() == ["none", "none", "5", "5", "10", "10"]
    assert found.frame["params.kind"].tolist() == ["sma", "none"] * 3
    same = found.frame.set_index("params.days")["total_return"]
    assert same["none"].tolist() == same["10"].tolist()


def test_reasons_that_differ_in_numbers_alone_are_one() -> None:
    frame = pd.DataFrame(
        {
            "error": ["bar of 2020-01-02 asks for 12,000", "", "bar of 2021-05-06 asks for 9", "b"],
            "sharpe_ratio": [math.nan, 1.0, math.nan, math.nan],
        }
    )
    found = reasons(frame)
    assert found["combinations"].to_dict() == {"bar of 2020-01-02 asks for 12,000": 2, "b": 1}


def test_the_page_of_ten_thousand_shows_the_first_and_stays_light(swept) -> None:
    from dataclasses import replace

    many = pd.concat([swept.frame] * 834, ignore_index=True)
    many["weeks"] = np.arange(len(many))
    small, large = (
        len(render(replace(swept, frame=frame), swept.manifest)) for frame in (swept.frame, many)
    )
    assert "20 of 10,008 combinations" in render(replace(swept, frame=many), swept.manifest)
    assert large - small < 1_500_000


def test_what_choosing_came_to_is_that_of_the_single_runs(swept, runs) -> None:
    """Choose without each period by the bars of single runs, which know nothing of sums."""
    returns = np.array([run.evaluation.backtest.returns for run in runs])
    index = runs[0].evaluation.backtest.returns.index
    held = runs[0].evaluation.benchmark.returns.to_numpy()
    table = swept.choosing.periods
    assert set(table["by"]) == {"sharpe_ratio", "payout"}
    pause = pd.Timedelta(days=30)
    for row in table[table["by"] == "sharpe_ratio"].itertuples():
        one = next(p for p in runs[0].evaluation.periods if p.id == row.id)
        near = (index >= one.start - pause) & (index < one.end + pause)
        rest = returns[:, ~near]
        best = int((rest.mean(axis=1) / rest.std(axis=1, ddof=1)).argmax())
        inside = (index >= one.start) & (index < one.end)
        saved = np.prod(1.0 + returns[:, inside], axis=1) - np.prod(1.0 + held[inside])
        assert row.points_saved == pytest.approx(saved[best], abs=1e-9)
        assert row.middle == pytest.approx(np.median(saved), abs=1e-9)
    page = render(swept, swept.manifest)
    assert "Chosen on part of the time" in page
    assert "Where the best of one half ranks in the other" in page


@pytest.mark.drawn(True)
def test_a_stored_sweep_knows_what_choosing_came_to(workspace, capsys) -> None:
    from delever.cli.app import main

    (workspace.root / "backtests" / "grid.toml").write_text(
        'strategy = "ma200w_break"\ndata = "sample/ohlcv/BTC/USD/1d"\nstart = 2013-01-01\n'
        'end = 2017-01-01\n[sweep.params]\nweeks = [20, 30, 50]\naverage = ["sma", "wma"]\n'
    )
    made = dl.sweep("backtests/grid.toml", workspace=workspace.root, workers=1)
    again = dl.result("grid", workspace=workspace.root)
    for name in ("periods", "eras", "paths"):
        pd.testing.assert_frame_equal(
            getattr(again.choosing, name), getattr(made.choosing, name), check_dtype=False
        )
    assert again.choosing.gained == made.choosing.gained
    pd.testing.assert_frame_equal(again.finalists.table, made.finalists.table)
    assert again.finalists.start == made.finalists.start
    pd.testing.assert_frame_equal(again.splits, made.splits)
    one, other = (found.html().split('id="choosing"')[1] for found in (made, again))
    assert one.split("</section>")[0] == other.split("</section>")[0]
    kept = made.folder / "found.json"
    told = kept.read_text()
    kept.write_text(told.replace('"chance_above"', '"chance_beyond"'))
    with pytest.raises(StoreError, match="run the sweep again"):
        read_sweep(made.folder)
    kept.write_text(told)
    capsys.readouterr()
    assert main(["select", "grid", "--workspace", str(workspace.root)]) == 0
    said = capsys.readouterr().out
    assert "Every period left out" in said
    assert "Probability of overfitting (luck alone: 50%)" in said
    assert f"p = {made.finalists.consistent:.3f}, between" in " ".join(said.split())
    assert "Combinations above buy and hold by growth: 0 of 6" in " ".join(said.split())
    tables = [line for line in said.splitlines() if line[:1] in "┏┃┡│└"]
    assert max(map(len, tables)) <= 80


@pytest.mark.drawn(True)
def test_choosing_an_average_on_a_random_walk_is_said_to_be_no_better_than_chance() -> None:
    days = pd.date_range("2013-01-01", "2024-12-31", tz="UTC", name="open_time")
    close = 100.0 * np.exp(np.random.default_rng(1).normal(0.0, 0.03, len(days)).cumsum())
    opened = np.append(100.0, close[:-1])
    prices = {"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close)}
    bars = pd.DataFrame({**prices, "close": close, "volume": 1.0}, index=days)

    def above(market: dl.MarketView, *, days: int = 20) -> pd.Series:
        line = market.bars["close"].rolling(days).mean()
        return (market.bars["close"] > line).astype(float).where(line.notna())

    market = dl.market(bars, timeframe="1d", symbol="RANDOM/WALK")
    with pytest.raises(InputError, match=r"call it params\.days"):
        dl.sweep(market, above, {"days": [10]})
    found = dl.sweep(market, above, {"params.days": range(10, 210, 10)})
    assert found.choosing.gained["sharpe_ratio"].p_value > 0.05
    share = f"{found.choosing.overfitting.probability:.0%} of splits (luck alone: 50%)"
    assert found.headline.endswith("choosing was no better than chance.")
    assert share in found.grounds[-1]
    page = found.html().replace("&#39;", "'")
    assert found.headline in page
    assert found.grounds[-1].replace("-", "\N{MINUS SIGN}") in page.replace("-", "\N{MINUS SIGN}")
