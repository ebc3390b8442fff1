"""One spot run by three engines: what sets vectorbt apart is told, and adds up."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.engine.test_sweep import random_bars

import delever as dl
from delever.cli.app import main
from delever.engine.concordance import DEFAULT, EXACT, LATER, OURS, TOLD
from delever.errors import InputError
from delever.study.runs import screening

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

COSTS = dl.Costs(taker_fee=0.002, slippage=0.001)


@pytest.fixture(scope="module")
def market() -> dl.MarketView:
    return dl.market(random_bars(21, 400, wild=0.03).assign(volume=1.0), timeframe="1d")


def run_of(market: dl.MarketView, above: float, below: float, costs=COSTS) -> dl.Run:
    close = market.bars["close"]
    line = close.rolling(7).mean()
    target = pd.Series(np.where(close > line, above, below), close.index).where(line.notna())
    return dl.backtest(market, target, name="crossing", costs=costs)


@pytest.mark.parametrize(("above", "below"), [(1.0, 0.0), (0.6, 0.2), (0.5, -0.4)])
def test_the_steps_add_up_and_each_has_its_cause(market, above: float, below: float) -> None:
    run = run_of(market, above, below)
    found = dl.screen(run)
    assert found.agrees
    returns = found.engines["total_return"]
    assert found.steps["points"].sum() == pytest.approx(returns[OURS] - returns[DEFAULT], abs=1e-12)
    later, sized, rest = found.steps["points"]
    assert list(found.steps.index)[-1] == "rounding"
    assert abs(later) > 1e-3  # gaps: the open is another price than the close
    assert abs(rest) < 1e-9
    assert (abs(sized) > 1e-5) == (above != 1.0)  # only partial targets are sized before costs
    assert found.engines["apart"][[EXACT, TOLD]].max() < 1e-9
    assert returns[OURS] == pytest.approx(run.metrics.loc["total_return", "whole"], rel=1e-12)
    ratio = run.metrics.loc["sharpe_ratio", "whole"]
    assert found.engines["sharpe_ratio"][OURS] == pytest.approx(ratio, rel=1e-12)
    assert list(found.equities) == [DEFAULT, LATER, TOLD, OURS, EXACT]
    assert f"{found.name}: total return" in found.headline
    assert "Exact decimals and vectorbt, told the sizes, agree." in found.headline
    json.dumps(found.to_dict(), allow_nan=False)
    assert "What sets vectorbt apart" in found.html()


def test_the_default_fill_of_vectorbt_is_the_close_that_decides(market) -> None:
    """Its equity by hand: bought at the close of the bar whose close decides."""
    bars = market.bars
    target = pd.Series(0.0, bars.index)
    target.iloc[10:20] = 1.0
    run = dl.backtest(market, target, costs=dl.Costs(), start=bars.index[1])
    found = dl.screen(run)
    close, opens = bars["close"].to_numpy(), bars["open"].to_numpy()
    returns = found.engines["total_return"]
    assert returns[DEFAULT] == pytest.approx(close[20] / close[10] - 1.0, rel=1e-9)
    assert returns[LATER] == returns[OURS] == pytest.approx(opens[21] / opens[11] - 1.0, rel=1e-9)


def test_a_short_that_is_liquidated_is_named(market) -> None:
    bars = market.bars.copy()
    bars.loc[bars.index[100] :, ["open", "high", "low", "close"]] *= 5.0
    run = dl.backtest(
        dl.market(bars, timeframe="1d"),
        pd.Series(-1.0, bars.index),
        costs=COSTS,
        start=bars.index[1],
    )
    found = dl.screen(run)
    assert (run.evaluation.backtest.fills["reason"] == "liquidation").any()
    assert found.agrees
    assert found.engines["apart"][EXACT] < 1e-9
    assert list(found.steps.index)[-1] == "a short is liquidated, which vectorbt does not do"
    assert "Exact decimals agree" in found.headline
    assert any("a short was liquidated" in note for note in found.notes)


def test_what_is_no_spot_run_is_refused(market, tmp_path) -> None:
    run = run_of(market, 1.0, 0.0)
    for more, words in (
        ({"account": dl.Account(stop_loss=0.1)}, "this run has an account"),
        ({"costs": COSTS + dl.VolatilitySlippage(share=0.1)}, "this run has 1 cost model"),
    ):
        given = dl.backtest(market, "buy_and_hold", **more)
        with pytest.raises(InputError, match=words):
            dl.screen(given)
    frame = pd.DataFrame({"exposure": 1.0, "stop_price": 1.0}, index=market.index)
    with pytest.raises(InputError, match="this run has orders beside its exposures"):
        dl.screen(dl.backtest(market, frame))
    window = replace(run, evaluation=replace(
        run.evaluation, backtest=replace(run.evaluation.backtest, request=None)))  # fmt: skip
    with pytest.raises(InputError, match="does not keep its bars"):
        dl.screen(window)
    with pytest.raises(InputError, match=r"a market, .* a study file or a run; got 3"):
        dl.screen(3)


def test_the_command_tells_it_in_eighty_columns_and_fails_where_engines_differ(
    workspace, capsys, monkeypatch, tmp_path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path = workspace.backtests / "one.toml"
    path.write_text(
        'strategy = "ma200w_break"\ndata = "sample/ohlcv/BTC/USD/1d"\nstart = 2013-01-01\n'
        "end = 2015-01-01\n[params]\nweeks = 20\n"
    )
    page = tmp_path / "screen.html"
    assert main(["screen", str(path), "-w", str(workspace.root), "-o", str(page)]) == 0
    said = capsys.readouterr().out
    tables = [line for line in said.splitlines() if line[:1] in "┏┃┡│└"]
    assert max(map(len, tables)) <= 80
    assert "vectorbt as it comes" in said
    assert "every open is the close before it" in said
    assert page.is_file()
    assert dl.trials(workspace=workspace).frame["by"].tolist() == ["screen"]
    real = screening.concordance

    def broken(done):
        found = real(done)
        found.equities[EXACT] = found.equities[EXACT] * (1.0 + 1e-6)
        return found

    monkeypatch.setattr(screening, "concordance", broken)
    assert main(["screen", str(path), "-w", str(workspace.root), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["agrees"] is False
    assert "The engines do not agree: exact decimals are 1e-06 of equity apart" in told["headline"]
