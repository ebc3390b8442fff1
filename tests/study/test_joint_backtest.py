"""`dl.backtest` of several symbols: what died is lost, parts add up, refusals are sentences."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.errors import ConfigError, InputError, StrategyError
from delever.research.portfolio_parts import leg_changes

DAYS = pd.date_range("2021-04-01", periods=110, tz="UTC", name="open_time")
FREE = dl.Costs()


@pytest.fixture(autouse=True)
def few_shifts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delever.research.luck.ONE_BY_ONE", 39)


def bars(seed: int, days: pd.DatetimeIndex = DAYS, spread: float = 0.03) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, spread, len(days))))
    opened = np.append(100.0, close[:-1])
    ends = np.stack([opened, close])
    prices = {"open": opened, "high": ends.max(0) * 1.01, "low": ends.min(0) * 0.99}
    return pd.DataFrame(prices | {"close": close, "volume": 1.0}, index=days)


def dying(recovery: float | None) -> dl.Markets:
    """Two coins, of which one dies on the 61st day."""
    gone = dl.Lifetime(delisted=DAYS[60], recovery=recovery)
    return dl.markets(
        {"BTC": bars(1), "DEAD": bars(2).iloc[:60]}, timeframe="1d", lifetimes={"DEAD": gone}
    )


def in_halves(markets: dl.Markets) -> pd.DataFrame:
    return markets.panel().notna().astype(float) / 2


def test_a_coin_that_dies_takes_what_was_held_down_to_its_recovery():
    """By hand: half in each at the second open; the dead half ends at recovery / price paid."""
    markets = dying(0.5)
    run = dl.backtest(markets, in_halves, costs=FREE, name="halves")
    # The target of DEAD is 0 from its delisting on, that of BTC stays a half: it is not traded.
    begun = run.evaluation.backtest.legs["DEAD"]["position"].ne(0).idxmax()
    dead = 5_000.0 * 0.5 / bars(2)["open"].loc[begun]
    kept = 5_000.0 * bars(1)["close"].iloc[-1] / bars(1)["open"].loc[begun]
    assert run.equity.iloc[-1] == pytest.approx(dead + kept, rel=1e-9)
    assert any(re.search(r"DEAD: its bars end .* a recovery of 0.5", note) for note in run.notes)
    at_last_close = dl.backtest(dying(None), in_halves, costs=FREE)
    assert at_last_close.equity.iloc[-1] > run.equity.iloc[-1]
    assert any("closed at its last close" in note for note in at_last_close.notes)
    # Leaving the dead coin out afterwards is another story: that is survivorship.
    alive = dl.markets({"BTC": bars(1), "ETH": bars(3)}, timeframe="1d")
    only = dl.backtest(alive, pd.DataFrame({"BTC": 0.5, "ETH": 0.0}, index=DAYS), costs=FREE)
    assert only.equity.iloc[-1] > run.equity.iloc[-1] + 4_000.0
    assert only.evaluation.benchmark.equity.iloc[-1] != run.evaluation.benchmark.equity.iloc[-1]


@pytest.fixture(scope="module")
def run() -> dl.Run:
    late = {"BTC": bars(1), "ETH": bars(2, spread=0.05), "NEW": bars(3, DAYS[30:])}
    dead = dl.Lifetime(delisted=DAYS[60], recovery=0.0)
    markets = dl.markets(
        late | {"DEAD": bars(4).iloc[:60]}, timeframe="1d", lifetimes={"DEAD": dead}
    )

    def trend(market: dl.MarketView, *, days: int = 10) -> pd.Series:
        close = market.bars["close"]
        average = close.rolling(days).mean()
        return (close > average).astype(float).where(average.notna())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("delever.research.luck.ONE_BY_ONE", 39)
        made = dl.backtest(markets, trend, days=8, name="trends")
        _ = made.answer
    return made


def test_parts_add_up_by_symbol_and_cause_and_to_the_points_saved(run: dl.Run):
    book = run.evaluation.backtest
    before = book.equity.shift(fill_value=book.initial_equity)
    np.testing.assert_allclose(leg_changes(book).sum(axis=1), book.equity - before, atol=1e-9)
    symbols = run.tables["symbols"]
    total = book.equity.iloc[-1] - book.initial_equity
    assert symbols["change"].sum() == pytest.approx(total, abs=1e-9)
    np.testing.assert_allclose(
        symbols.drop(columns="change").sum(axis=1), symbols["change"], atol=1e-9
    )
    saved = run.tables["saved_by_symbol"].groupby("id")[["contribution", "points_saved"]].sum()
    periods = run.tables["periods"]
    assert len(saved) == len(periods) > 0
    np.testing.assert_allclose(
        saved.loc[periods.index, "points_saved"], periods["points_saved"], atol=1e-9
    )
    np.testing.assert_allclose(
        saved.loc[periods.index, "contribution"], periods["strategy_return"], atol=1e-9
    )


def test_what_a_run_of_several_says_of_itself(run: dl.Run, tmp_path):
    text = " ".join(run.notes)
    assert "the benchmark is an equal part of the 4 symbols as they were listed then" in text
    assert "DEAD: its bars end on 2021-05-30 00:00" in text
    assert "mark: none given" not in text  # spot has no mark
    assert run.benchmark == "equal-weight hold"
    assert run.answer.timing.known
    assert any("of all symbols together" in note for note in run.answer.timing.notes)
    assert "which is not built" in run.answer.redrawn.reason
    assert {"costs x2", "1 bar later", "days 9 instead of 8"} <= set(run.counterfactuals.index)
    assert (
        run.counterfactuals.loc["costs x2", "total_return"]
        < run.metrics.at["total_return", "whole"]
    )
    correlated = run.tables["correlations"].set_index(["symbol", "other"])
    assert np.isnan(correlated.loc[("DEAD", "NEW"), "inside"])
    page = run.page(tmp_path / "page.html").read_text()
    for part in (
        "Symbol by symbol",
        "What each symbol did in each period",
        "Periods, coin by coin",
    ):
        assert part in page
    window = dl.compare(run, dl.backtest(dying(0.5), in_halves)).tables["points_saved"]
    assert list(window.columns) == ["trends", "in_halves"]


def test_what_cannot_be_is_refused_in_a_sentence():
    markets = dying(0.0)
    one = dl.market(bars(1), timeframe="1d")

    def pair(markets: dl.Markets) -> pd.DataFrame:
        return in_halves(markets)

    def refused(error: type[Exception], said: str, *given: Any, **more: Any) -> None:
        with pytest.raises(error, match=said):
            dl.backtest(*given, **more)

    refused(StrategyError, "pair takes several symbols.*; got one market", one, pair)
    alone = dl.Markets(views={"BTC": markets["BTC"]})
    refused(InputError, "a strategy of several symbols needs two at least", alone, pair)
    refused(InputError, "account must name symbols of the markets", markets, pair,
            account={"ETH": dl.Account()})  # fmt: skip
    refused(InputError, "account by symbol needs several", one, "buy_and_hold", account={})
    refused(InputError, "margin: mode must be", markets, pair, margin="shared")
    refused(ConfigError, "strategy must be a name in", markets, pair, rule="unequal")
    refused(ConfigError, "a portfolio rule must take", markets, pair, rule="buy_and_hold")
    refused(InputError, "parameters of a portfolio rule need its name", markets, pair,
            rule_params={"days": 3})  # fmt: skip
    refused(InputError, "target exposures must have a column per symbol", markets,
            pd.DataFrame({"BTC": 1.0}, index=DAYS))  # fmt: skip
