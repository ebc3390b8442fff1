"""`dl.backtest` of several symbols: what died is lost, parts add up, refusals are sentences."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.engine.joint_orders import exposures_by_symbol
from delever.engine.legs import Margin
from delever.engine.portfolio import portfolio_backtest
from delever.errors import ConfigError, InputError, StrategyError
from delever.report.pages.joint_blocks import legs_parts
from delever.report.pages.run_tables import trades_table
from delever.research.portfolio_parts import leg_changes
from delever.study.portfolios.joint_simulation import joint_rule
from delever.study.workspaces.any_strategy import as_strategy
from delever.venues.rulebook import load_rulebook
from delever.venues.slippage import VolatilitySlippage

pytestmark = [
    pytest.mark.xdist_group("portfolio"),  # its loop is compiled in one process
    pytest.mark.drawn(False),
    pytest.mark.otherwise(False),
]

DAYS = pd.date_range("2021-04-01", periods=110, tz="UTC", name="open_time")
FREE = dl.Costs()


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


def trend(market: dl.MarketView, *, days: int = 10) -> pd.Series:
    close = market.bars["close"]
    average = close.rolling(days).mean()
    return (close > average).astype(float).where(average.notna())


@pytest.fixture(scope="module")
def run() -> dl.Run:
    made = dl.backtest(four(), trend, days=8, name="trends")
    assert made.answer  # asked here, where no mark leaves anything out
    return made


def four() -> dl.Markets:
    late = {"BTC": bars(1), "ETH": bars(2, spread=0.05), "NEW": bars(3, DAYS[30:])}
    dead = dl.Lifetime(delisted=DAYS[60], recovery=0.0)
    return dl.markets(late | {"DEAD": bars(4).iloc[:60]}, timeframe="1d", lifetimes={"DEAD": dead})


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


@pytest.mark.otherwise(True)
def test_the_measures_of_the_account_stand_beside_those_of_each_coin(run: dl.Run):
    """By hand: a coin's log growth in and out of the periods, from its leg and the benchmark's."""
    table, book = run.tables["protection_by_symbol"], run.evaluation.backtest
    told = run.answer.protection
    assert list(table.index) == ["all", *book.legs]
    assert table.at["all", "payouts"] == pytest.approx(told.payouts)
    assert table.at["all", "relative_growth"] == pytest.approx(told.relative_growth)
    inside = np.zeros(len(book.equity), dtype=bool)
    for period in run.evaluation.periods:
        rows = (book.equity.index >= period.start) & (book.equity.index < period.end)
        inside |= rows
    grown = {}
    for which in (book, run.evaluation.benchmark):
        before = which.equity.shift(fill_value=which.initial_equity)
        grown[which is book] = np.log1p(leg_changes(which)["ETH"] / before)
    payouts = float((grown[True] - grown[False])[inside].sum())
    assert table.at["ETH", "payouts"] == pytest.approx(payouts, rel=1e-9)
    assert {"helped", "hurt", "points_saved", "payout_ratio", "down_capture"} <= set(table)


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
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
        "How each symbol protected",
        "Periods, coin by coin",
    ):
        assert part in page
    assert "Costs of a fill" not in page  # each leg has its own, in the table of the account
    assert "not asked: " not in page
    assert trades_table(run.tables["trades"]).header[-2:] == ("Slippage", "Status")  # no margin
    window = dl.compare(run, dl.backtest(dying(0.5), in_halves)).tables["points_saved"]
    assert list(window.columns) == ["trends", "in_halves"]


@pytest.mark.otherwise(True)
def test_a_neighbour_begins_as_the_run_did(run: dl.Run):
    """An average of nine days is known a day after that of eight, which decides until then."""
    book = run.evaluation.backtest
    own = book.request["target_exposure"]
    other = dl.backtest(four(), trend, days=9).evaluation.backtest.request["target_exposure"]
    assert len(other) == len(own) - 1
    assert own.iloc[0].any()  # flat would be another beginning
    begun = other.reindex(own.index).combine_first(own)
    by_hand = portfolio_backtest(**{**book.request, "target_exposure": begun}).equity
    paths = run.what_if.paths
    found = paths.loc[paths["name"] == "days 9 instead of 8", "equity"]
    np.testing.assert_allclose(found, by_hand, rtol=1e-12)


@pytest.mark.drawn(True)
def test_the_page_says_by_what_each_leg_pays():
    perpetual = dl.Account(
        contract="BTC/USDT:USDT", rules="generic", funding_policy="missing-is-zero"
    )
    markets = dl.markets({"BTC": bars(1), "ETH": bars(2)}, timeframe="1d")
    run = dl.backtest(markets, in_halves, account={"BTC": perpetual})
    (table,) = legs_parts(run.evaluation)
    assert [row[4:] for row in table.texts] == [("by the rules", "0.050%"), ("0.100%", "0.050%")]
    for venue, word in {"binanceusdm": "the whole position at once", "okx": "in the steps"}.items():
        behind = Margin(rules=load_rulebook(f"data/venues/{venue}.toml"))
        page = dl.backtest(markets, in_halves, account={"BTC": perpetual}, margin=behind).html()
        assert page.count("A liquidation ") == 1
        assert word in page.partition("A liquidation ")[2][:40]
    modelled = dl.Costs(taker_fee=0.001, slippage=0.0) + VolatilitySlippage(share=0.1)
    (table,) = legs_parts(dl.backtest(markets, in_halves, costs=modelled).evaluation)
    assert [row[4:] for row in table.texts] == [("0.100%", "a model")] * 2


def test_separate_wallets_are_funded_at_the_start_and_the_run_says_so():
    late = dl.markets({"BTC": bars(1), "NEW": bars(2).iloc[30:]}, timeframe="1d")
    run = dl.backtest(late, in_halves, margin="separate")
    said = f"of that part; in cash until their first bar: NEW ({DAYS[30]:%Y-%m-%d})"
    assert sum(note.endswith(said) for note in run.notes) == 1
    held = run.evaluation.backtest.legs["NEW"]["exposure"]
    assert held.iloc[:30].eq(0.0).all()
    assert 0.2 < held.iloc[32] < 0.3  # half of its wallet, which is half of the account
    assert "wallet" not in " ".join(dl.backtest(late, in_halves, margin="cross").notes)


def test_what_cannot_be_is_refused_in_a_sentence():
    markets = dying(0.0)
    one = dl.market(bars(1), timeframe="1d")

    def pair(markets: dl.Markets) -> pd.DataFrame:
        return in_halves(markets)

    def refused(error: type[Exception], said: str, *given: Any, **more: Any) -> None:
        with pytest.raises(error, match=said):
            dl.backtest(*given, **more)

    refused(
        StrategyError,
        "pair takes several symbols.*; got one market; name a universe or a study of",
        one,
        pair,
    )
    alone = dl.Markets(views={"BTC": markets["BTC"]})
    refused(InputError, "a strategy of several symbols needs two at least", alone, pair)
    refused(InputError, "account must name symbols of the markets", markets, pair,
            account={"ETH": dl.Account()})  # fmt: skip
    refused(InputError, "account by symbol needs several", one, "buy_and_hold", account={})
    refused(InputError, "margin: mode must be", markets, pair, margin="shared")
    rules = "rule must be equal, inverse_volatility, volatility_target, capped, a name in"
    refused(ConfigError, rules, markets, pair, rule="unequal")
    symbols = "benchmark must be one of the symbols, BTC, DEAD, a name in"
    refused(ConfigError, symbols, markets, pair, benchmark="zzz")
    refused(ConfigError, "a portfolio rule must take", markets, pair, rule="buy_and_hold")
    refused(InputError, "parameters of a portfolio rule need its name", markets, pair,
            rule_params={"days": 3})  # fmt: skip
    refused(InputError, "target exposures must have a column per symbol", markets,
            pd.DataFrame({"BTC": 1.0}, index=DAYS))  # fmt: skip


@pytest.mark.parametrize("back", [False, True])
def test_an_end_that_nobody_explains_is_not_known_before_a_week_has_passed(back: bool):
    """Members, exposures and equity of every cut are those of the whole run up to there."""
    gone = bars(3).drop(DAYS[50:62] if back else DAYS[50:])
    whole = dl.markets({"A": bars(1), "B": bars(2), "C": gone}, timeframe="1d")

    def always(market: dl.MarketView) -> pd.Series:
        return pd.Series(1.0, index=market.index)

    def answered(markets: dl.Markets) -> tuple[pd.DataFrame, ...]:
        run = dl.backtest(markets, always, costs=dl.Costs(taker_fee=0.001)).evaluation
        book = run.backtest
        exposed = pd.DataFrame({name: leg["exposure"] for name, leg in book.legs.items()})
        both = pd.DataFrame({"run": book.equity, "benchmark": run.benchmark.equity})
        return markets.members.iloc[1:], exposed, both, run.bars[["close"]]

    seen = answered(whole)
    for row in (48, 49, 50, 53, 55, 56, 57, 58, 61, 62, 63):
        for was, now in zip(seen, answered(whole.upto(whole.close_time[row])), strict=True):
            pd.testing.assert_frame_equal(was.loc[: now.index[-1]], now, check_freq=False)
    assert seen[0]["C"].idxmin() == DAYS[56]  # its last bar closed with the 19th of May
    assert seen[1]["C"].ne(0.0).loc[DAYS[49] : DAYS[57]].tolist() == [True] * 7 + [False] * 2
    assert any("the bars of C end" in note for note in whole.notes) != back


@pytest.mark.otherwise(True)
def test_a_constant_exposure_is_not_asked_for_its_timing():
    run = dl.backtest(dl.markets({"A": bars(1), "B": bars(2)}, timeframe="1d"), in_halves)
    told = {rung.name: rung for rung in dl.verdict(run).rungs}
    assert told["at the right time"].passed is None
    assert "an exposure that never changes" in told["at the right time"].figure
    assert told["chosen out of sample"].figure == ""
    assert told["after deflation"].passed is None


def test_shares_that_move_away_from_a_leg_without_a_bar_wait_for_it():
    markets = dl.markets(
        {"A": bars(1, spread=0.02), "D": bars(2, spread=0.01).drop(DAYS[54:58])}, timeframe="1d"
    )

    def away(markets: dl.Markets) -> pd.DataFrame:
        late = markets.index >= DAYS[53]
        return pd.DataFrame({"A": np.where(late, 0.9, 0.2), "D": np.where(late, 0.1, 0.8)},
                            index=markets.index)  # fmt: skip

    run = dl.backtest(markets, away, costs=FREE)
    book = run.evaluation.backtest
    assert book.legs["A"]["target_exposure"].loc[DAYS[52] : DAYS[59]].tolist() == pytest.approx(
        [0.2] * 6 + [0.9] * 2
    )
    assert any("increases waited, whole or in part, at 4 opens" in note for note in run.notes)
    # The other way: A grows calm while D has no bar, and its share by volatility rises.
    calm = pd.concat([bars(1, DAYS[:54], spread=0.05), bars(3, DAYS[54:], spread=0.001)])
    gap = {"A": calm, "D": bars(2, spread=0.02).drop(DAYS[55:61])}

    def ones(market: dl.MarketView) -> pd.Series:
        return pd.Series(1.0, index=market.index)

    told = {"rule": "inverse_volatility", "rule_params": {"days": 5, "every": "1d"}}
    weighed = dl.backtest(dl.markets(gap, timeframe="1d"), ones, costs=FREE, **told)
    assert any("increases waited" in note for note in weighed.notes)


def on_levels(market: dl.MarketView, *, days: int = 10) -> pd.DataFrame:
    """Long above an average: half at once, the rest below, out under the lowest close."""
    close = market.bars["close"]
    mean = close.rolling(days).mean()
    long = (close > mean).astype(float).where(mean.notna())
    said = pd.DataFrame({"exposure": 0.5 * long, "stop_price": 0.98 * close.rolling(days).min()})
    said["exposure_2"] = long.where(long > 0.0)
    return said.assign(limit_price_2=(0.99 * close).where(long > 0.0))


@pytest.mark.otherwise(True)
def test_orders_at_levels_of_every_symbol_are_sized_by_the_rule_and_run_again():
    markets = dl.markets(
        {"A": bars(1), "B": bars(2).drop(DAYS[50:53]), "C": bars(3).iloc[:80]}, timeframe="1d"
    )
    run = dl.backtest(markets, on_levels, days=8, costs=FREE)
    book = run.evaluation.backtest
    assert {"target", "limit"} <= set(book.fills["reason"])
    asked = book.request["target_exposure"]
    alone = dl.strategy(on_levels).target(markets["A"], {"days": 8})
    share = 1.0 / markets.members.sum(axis=1)
    for name in ("exposure", "exposure_2"):
        own = (alone[name] * share).loc[asked.index]
        np.testing.assert_allclose(asked["A"][name], own.mask(own == 0.0, 0.0), rtol=1e-12)
    np.testing.assert_array_equal(asked["A"]["stop_price"], alone["stop_price"].loc[asked.index])
    # What was bought at a level was bought no dearer, and by hand at the level of the day before.
    rungs = book.fills[book.fills["reason"] == "limit"]
    for fill in rungs.itertuples():
        row = asked.index.get_loc(fill.time) - 1
        assert fill.price <= asked[fill.symbol]["limit_price_2"].ffill().iloc[row] * (1 + 1e-12)
    assert {"costs x2", "1 bar later", "days 9 instead of 8"} <= set(run.counterfactuals.index)
    assert not run.what_if.refused
    assert run.answer.timing.known


def test_a_rule_caps_what_rests_at_levels_too():
    markets = dl.markets({"A": bars(1), "B": bars(2), "C": bars(3).iloc[:80]}, timeframe="1d")
    capped = dl.backtest(markets, on_levels, rule="capped", rule_params={"each": 0.2}, costs=FREE)
    reached = capped.evaluation.backtest.request["target_exposure"]["B"]
    assert reached["exposure_2"].max() == pytest.approx(0.2)
    assert reached["exposure"].max() == pytest.approx(0.1)


HALVES = '''\
import pandas as pd

from delever.panel import Markets


def halves(markets: Markets, signals: pd.DataFrame, *, share: float = 0.5) -> pd.DataFrame:
    """A part of every signal, and as much of a symbol that has none."""
    return signals.fillna(1.0) * share
'''


def test_an_edited_portfolio_rule_is_another_trial(workspace):
    markets = dl.markets({"A": bars(1), "B": bars(2)}, timeframe="1d")
    own = workspace.strategies / "halves.py"
    counts = []
    for text in (HALVES, HALVES, HALVES.replace("* share", "* share / 2.0")):
        own.write_text(text)
        run = dl.backtest(markets, risen, rule="halves", workspace=workspace)
        counts.append(run.manifest["n_trials"])
    assert counts == [1, 1, 2]


def risen(market: dl.MarketView, *, ordered: bool = False) -> pd.DataFrame | pd.Series:
    """Long after a rise of five days; no signal in the first ones."""
    rise = market.bars["close"].diff(5)
    held = (rise > 0.0).astype(float).where(rise.notna())
    if not ordered:
        return held
    return pd.DataFrame({"exposure": held, "stop_price": 0.5 * market.bars["close"]})


def test_a_rule_keeps_its_exposure_without_a_signal_with_orders_and_without(workspace):
    markets = dl.markets({"A": bars(1), "B": bars(2)}, timeframe="1d")
    (workspace.strategies / "halves.py").write_text(HALVES)
    plain, ordered = (
        joint_rule(
            as_strategy(risen), {"ordered": each}, rule="halves", rule_params={}, place=workspace
        ).target(markets)
        for each in (False, True)
    )
    assert (plain.iloc[:5] == 0.5).all(axis=None)
    pd.testing.assert_frame_equal(exposures_by_symbol(ordered), plain)


def test_a_rule_may_not_turn_a_decision_with_prices_round(workspace):
    markets = dl.markets({"A": bars(1), "B": bars(2)}, timeframe="1d")
    (workspace.strategies / "halves.py").write_text(HALVES)
    told = {"rule": "halves", "rule_params": {"share": -0.5}, "workspace": workspace}
    assert dl.backtest(markets, risen, **told).evaluation.backtest.legs["A"]["position"].min() < 0.0
    with pytest.raises(InputError, match=r"A: a portfolio rule must keep the side .* -0.5 of 1;"):
        dl.backtest(markets, risen, ordered=True, **told)


def test_a_panel_names_orders_in_a_frame_per_symbol_and_may_not_peek_with_them():
    markets = dl.markets({"A": bars(1), "B": bars(2)}, timeframe="1d")

    def in_pairs(markets: dl.Markets, *, stop: float = 0.95, peek: bool = False) -> pd.DataFrame:
        close = markets.panel()
        low = stop * close.rolling(10, min_periods=1).min()
        if peek:
            low["B"] = stop * close["B"].shift(-1).fillna(close["B"]).clip(upper=close["B"])
        each = {
            name: pd.DataFrame({"exposure": 0.5, "stop_price": low[name]}, markets.index)
            for name in markets
        }
        return pd.concat(each, axis=1)

    assert dl.check(in_pairs, data=markets, points=3, seconds=0).passed
    caught = dl.check(in_pairs, data=markets, points=3, seconds=0, params={"peek": True})
    assert "prefix invariance: B: stop_price, bar 2021" in str(caught.targets[0].findings[0])
    stopped = dl.backtest(markets, in_pairs, costs=FREE)
    assert "stop_loss" in set(stopped.trades["exit_reason"])
    own = dl.backtest(markets, in_pairs(markets), costs=FREE)
    pd.testing.assert_series_equal(own.equity, stopped.equity)
    with pytest.raises(
        StrategyError, match=r"A: bar 2021-.* stop_price must lie on the losing side"
    ):
        dl.backtest(markets, in_pairs, stop=1.2)

    def flat(markets: dl.Markets) -> pd.DataFrame:
        return pd.DataFrame({"exposure": 0.5, "stop_price": 1.0}, markets.index)

    with pytest.raises(StrategyError, match="'stop_price' is an order's: join a frame per symbol"):
        dl.backtest(markets, flat)
