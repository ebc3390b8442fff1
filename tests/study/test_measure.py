"""What was run elsewhere is measured as a run is, and says how its orders were filled."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from tests.engine.test_sweep import random_bars

import delever as dl
from delever.engine.vectorbt_portfolio import FilledAt
from delever.errors import InputError, SchemaError

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

COSTS = dl.Costs(taker_fee=0.001, slippage=0.0005)
SCOPES = ["whole", "inside", "outside"]


@pytest.fixture(scope="module")
def market() -> dl.MarketView:
    return dl.market("sample/ohlcv/BTC/USD/1d", start="2016-01-01", end="2020-01-01")


@pytest.fixture(scope="module")
def signals(market) -> tuple[pd.Series, pd.Series]:
    close = market.bars["close"]
    line = close.rolling(50).mean()
    return close > line, close < line


@pytest.fixture(scope="module")
def ours(market, signals) -> dl.Run:
    made = dl.backtest(market, signals, name="ours", costs=COSTS)
    assert made.answer  # asked here, where no mark leaves anything out
    return made


def of_orders(bars: pd.DataFrame, size: pd.Series, **options):
    import vectorbt as vbt

    told = {"price": bars["open"], "fees": 0.001, "slippage": 0.0005, "init_cash": 10_000.0}
    told |= {"min_size": 0.0, "freq": "1D", "size_type": "targetpercent"}
    return vbt.Portfolio.from_orders(bars["close"], size, **(told | options))


def portfolio(market, signals, index, *, at: str = "open", shift: int = 1, **options):
    """The rule as vectorbt's users write it."""
    import vectorbt as vbt

    bars = market.bars.loc[index]
    entries, exits = (each.shift(shift, fill_value=False).loc[index] for each in signals)
    told = {"fees": 0.001, "slippage": 0.0005, "init_cash": 10_000.0, "freq": "1D"}
    price = {"price": bars[at]} if at else {}
    return vbt.Portfolio.from_signals(bars["close"], entries, exits, **price, **told, **options)


def assert_equal(one: pd.DataFrame, other: pd.DataFrame) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.otherwise(True)
def test_a_portfolio_filled_at_the_next_open_has_every_metric_of_our_run(
    market, signals, ours
) -> None:
    theirs = portfolio(market, signals, ours.equity.index)
    found = dl.measure(theirs, market=market, name="theirs")
    assert_equal(found.metrics, ours.metrics)
    assert_equal(found.evaluation.benchmark_metrics, ours.evaluation.benchmark_metrics)
    for name in ("fee", "slippage", "turnover", "price_pnl", "exposure"):
        one, other = (run.evaluation.backtest.ledger[name] for run in (found, ours))
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-6, err_msg=name)
    shared = [name for name in ours.trades if name not in ("status", "carried_in")]
    pd.testing.assert_frame_equal(found.trades[shared], ours.trades[shared], rtol=1e-9, atol=1e-6)
    said = found.notes[0]
    assert said.endswith("at the open of its bar, each worse by 0.0005 of it")
    assert "without funding, margin or liquidation" in said
    assert not any("look-ahead" in note for note in found.notes)
    assert found.answer.timing is None


def test_each_column_of_a_vectorbt_sweep_is_our_run_of_its_parameters() -> None:
    import vectorbt as vbt

    bars = random_bars(8, 250).assign(volume=1.0)
    market = dl.market(bars, timeframe="1d")
    close, windows = bars["close"], [5, 11, 23]
    lines = vbt.MA.run(close, window=windows).ma.set_axis(windows, axis=1)
    above = lines.lt(close, axis=0) & lines.notna()
    asked = above.astype(float).shift(1, fill_value=0.0)
    sizes = asked.where(asked != asked.shift(1, fill_value=0.0))
    theirs = of_orders(bars, sizes, price=bars["open"].to_numpy()[:, None])
    for window in windows:
        ours = dl.backtest(market, above[window].astype(float), costs=COSTS, start=bars.index[1])
        found = dl.measure(theirs[window], market=market, start=bars.index[1])
        assert_equal(found.metrics, ours.metrics)


def test_a_portfolio_that_goes_short_is_ours_too() -> None:
    bars = random_bars(5, 300).assign(volume=1.0)
    market = dl.market(bars, timeframe="1d")
    close = bars["close"]
    target = pd.Series(np.where(close > close.rolling(9).mean(), 0.8, -0.5), bars.index)
    ours = dl.backtest(market, target, costs=COSTS, start=bars.index[1])
    size = ours.evaluation.backtest.fills.set_index("time")["position"].reindex(bars.index)
    theirs = of_orders(bars, size, size_type="targetamount", direction="both")
    found = dl.measure(theirs, market=market, start=bars.index[1])
    assert found.metrics.loc["trades", "whole"] > 20
    rows = [name for name in ours.metrics.index if name != "hit_rate"]
    assert_equal(found.metrics.loc[rows, "whole"], ours.metrics.loc[rows, "whole"])


@pytest.mark.drawn(True)
def test_orders_at_their_own_bars_close_are_called_look_ahead(market, signals, ours) -> None:
    index = ours.equity.index
    peeking = dl.measure(portfolio(market, signals, index, at="", shift=0), market=market)
    [said] = [note for note in peeking.notes if "look-ahead" in note]
    orders = len(peeking.evaluation.backtest.fills)
    assert f"{orders} orders had the close of the bar for a price" in said
    assert "look-ahead: " in peeking.html()
    # Where an open is the close before, as in this sample, the two are told apart by their bars.
    assert f"{orders} orders, {orders} at the close of its bar" in peeking.notes[0]
    bars, size = market.bars.loc[index], pd.Series(np.nan, index)
    size.iloc[[3, 5, 9, 12]] = [1.0, 0.0, 1.0, 0.0]
    odd = bars["open"].where(size.index != index[9], 1.1 * bars["open"])
    mixed = dl.measure(of_orders(bars, size, price=odd), market=market)
    assert "1 order had one outside low and high" in mixed.notes[0]
    assert "4 orders, 3 at the open of its bar, 1 at another price" in mixed.notes[1]
    assert str(FilledAt(0, 0, 0, 0.0)) == "no order was filled"


def test_without_its_market_a_portfolio_stands_on_its_closes(market, signals, ours) -> None:
    theirs = portfolio(market, signals, ours.equity.index)
    with pytest.raises(InputError, match=r'stamped must say .* "open" or "close"; got None'):
        dl.measure(theirs)
    found = dl.measure(theirs, stamped="open")
    assert found.metrics.loc["total_return", "whole"] == pytest.approx(
        ours.metrics.loc["total_return", "whole"], rel=1e-9
    )
    assert any("prices are closes alone" in note for note in found.notes)


def test_a_run_goes_to_vectorbt_and_comes_back(market, ours) -> None:
    theirs = ours.to_vectorbt()
    assert theirs.total_return() == pytest.approx(
        ours.metrics.loc["total_return", "whole"], rel=1e-9
    )
    assert theirs.trades.count() == len(ours.trades)
    assert_equal(dl.measure(theirs, market=market).metrics, ours.metrics)
    accessor = ours.to_vectorbt("returns")
    assert accessor.sharpe_ratio() == pytest.approx(
        ours.metrics.loc["sharpe_ratio", "whole"], rel=1e-9
    )
    with pytest.raises(InputError, match="'portfolio' or 'returns'; got 'orders'"):
        ours.to_vectorbt("orders")


def test_a_run_with_more_than_fills_in_its_equity_goes_as_returns(market) -> None:
    costs = COSTS + dl.Borrow(rate=0.2)
    run = dl.backtest(market, pd.Series(-0.5, market.index), costs=costs)
    with pytest.raises(InputError, match=r"equity holds more \(funding, borrow"):
        run.to_vectorbt()
    assert run.to_vectorbt("returns").total() == pytest.approx(
        run.metrics.loc["total_return", "whole"], rel=1e-9
    )


@pytest.mark.otherwise(True)
@pytest.mark.drawn(True)
def test_returns_alone_are_measured_where_they_can_be(market, ours, tmp_path) -> None:
    returns = ours.evaluation.backtest.returns
    found = dl.measure(returns, market=market, stamped="open", name="alone")
    unseen = found.metrics.index[found.metrics["whole"].isna()]
    assert {"exposure", "turnover", "trades", "hit_rate"} <= set(unseen)
    known = found.metrics.index.difference(unseen)
    assert {"sharpe_ratio", "max_drawdown", "cagr", "total_return"} <= set(known)
    assert_equal(found.metrics.loc[known, SCOPES], ours.metrics.loc[known, SCOPES])
    split = found.answer.protection
    assert split.premium == pytest.approx(ours.answer.protection.premium, abs=0.01)
    assert split.periods["size"].isna().all()
    both = dl.compare(ours, found)
    assert both.metrics["alone", "whole"]["sharpe_ratio"] == pytest.approx(
        ours.metrics.loc["sharpe_ratio", "whole"], rel=1e-9
    )
    page = found.page(tmp_path / "alone.html").read_text()
    assert "what was held, traded and paid is not known" in page
    assert ">nan" not in page.lower()
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.headline in found._repr_html_()
    assert "history" in found.figures


def test_stamps_at_the_close_are_the_same_bars(market, ours) -> None:
    returns = ours.evaluation.backtest.returns
    moved = returns.set_axis(returns.index + pd.Timedelta(days=1))
    one = dl.measure(returns, market=market, stamped="open", name="one")
    other = dl.measure(moved, market=market, stamped="close", name="one")
    assert_equal(one.metrics, other.metrics)
    with pytest.raises(InputError, match="stamped must say"):
        dl.measure(returns, market=market)
    # Called opens they would be a day late: the last one has no bar.
    with pytest.raises(InputError, match="2020-01-01 00:00 is in what is measured alone"):
        dl.measure(moved, market=market, stamped="open")


def test_stamps_that_are_said_to_be_others_are_told_by_the_markets_moves(market, ours) -> None:
    returns = ours.evaluation.backtest.returns
    words = r"move with the bar after their own \(rank .* 0\.9\d, .*say stamped='open'"
    with pytest.raises(InputError, match=words):
        dl.measure(returns, market=market, stamped="close")
    # A day late on the market's own bars: the last one is left out, so that all have a bar.
    late = returns.shift(1).iloc[1:]
    with pytest.raises(InputError, match=r"the bar before their own .*say stamped='close'"):
        dl.measure(late, market=market, stamped="open")
    early = returns.shift(-1).iloc[:-1]
    with pytest.raises(InputError, match=r"the bar after their own .*shift them by a bar"):
        dl.measure(early, market=market, stamped="open")
    assert dl.measure(late, market=market, stamped="open", really=True).name == "return"
    # What has nothing to do with the market moves with no bar of it.
    others = pd.Series(np.random.default_rng(3).normal(0.0, 0.02, len(returns)), returns.index)
    for stamped in ("open", "close"):
        assert dl.measure(others, market=market, stamped=stamped, name="other").name == "other"


def test_a_benchmark_of_returns_needs_no_market() -> None:
    chance = np.random.default_rng(3)
    index = pd.date_range("2020-01-01", periods=2_000, freq="4h", tz="UTC")
    held = pd.Series(chance.normal(0.0, 0.01, 2_000), index, name="an index")
    found = dl.measure(0.5 * held, benchmark=held, stamped="open", name="half")
    assert found.evaluation.backtest.timeframe == "4h"
    assert found.benchmark == "an index"
    tables = (found.metrics, found.evaluation.benchmark_metrics)
    ratios = [table.loc["sharpe_ratio", "whole"] for table in tables]
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-9)
    assert any("the wealth of the benchmark" in note for note in found.notes)
    with pytest.raises(InputError, match="give market or benchmark"):
        dl.measure(held, stamped="open")
    with pytest.raises(InputError, match="the benchmark must have the bars"):
        dl.measure(held, benchmark=held.iloc[1:], stamped="open")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: 100.0 * r, "five per cent are 0.05: divide percent by 100"),
        (lambda r: (100.0 * r).clip(lower=-0.9), r"vary by [\d,]+ per cent a year.*really=True"),
        (lambda r: r.where(r.index != r.index[7]), "returns must be there for every bar"),
        (lambda r: r.astype(str), "returns must be numbers"),
        (lambda r: r.iloc[:1], "of 2 bars or more; got 1"),
        (lambda r: r.drop(r.index[5]), "is in the market alone"),
        (lambda r: r.iloc[::-1], "increasing in time"),
        (lambda r: r.to_frame().to_numpy(), "must be a vectorbt Portfolio, a Series"),
    ],
)
def test_returns_that_are_none_are_refused(market, ours, change, words) -> None:
    returns = ours.evaluation.backtest.returns
    with pytest.raises(InputError, match=words):
        dl.measure(change(returns), market=market, stamped="open")


def test_wild_returns_may_be_meant_and_naive_stamps_never(market, ours) -> None:
    returns = (30.0 * ours.evaluation.backtest.returns).clip(lower=-0.9)
    assert dl.measure(returns, market=market, stamped="open", really=True).name == "return"
    with pytest.raises(SchemaError, match="time zone"):
        dl.measure(returns.tz_localize(None), market=market, stamped="open", really=True)


def test_a_portfolio_that_cannot_be_read_is_refused(market, signals, ours) -> None:
    import vectorbt as vbt

    index = ours.equity.index
    bars = market.bars.loc[index]
    two = pd.DataFrame({"a": 1.0, "b": 0.5}, index=index)
    many = of_orders(bars, two, price=bars["open"].to_numpy()[:, None])
    with pytest.raises(InputError, match=r"one column; got 2 \(a, b, ...\); take one"):
        dl.measure(many, market=market)
    assert dl.measure(many["a"], market=market).name == "portfolio"
    other = of_orders(bars.assign(close=bars["close"] * 1.01), pd.Series(1.0, index))
    with pytest.raises(InputError, match="closes of a portfolio must be those of the market"):
        dl.measure(other, market=market)

    class Padded(vbt.Portfolio):
        def value(self):
            return super().value() + 5.0

    fair = of_orders(bars, pd.Series(1.0, index))
    padded = Padded(
        fair.wrapper,
        fair.close,
        fair.orders.values,
        np.empty(0),
        fair.init_cash,
        cash_sharing=False,
    )
    with pytest.raises(InputError, match=r"must follow from its orders.*portfolio\.returns"):
        dl.measure(padded, market=market)
    short = pd.Series(np.nan, index)
    short.iloc[0] = -5_000.0 / bars["open"].iloc[0]
    ruined = of_orders(bars, short, size_type="amount", direction="both")
    with pytest.raises(InputError, match="vectorbt liquidates no short"):
        dl.measure(ruined, market=market)


def test_entries_and_exits_are_run_by_our_engine(market, signals, ours) -> None:
    found = dl.measure(signals, market=market, costs=COSTS)
    assert_equal(found.metrics, ours.metrics)
    with pytest.raises(InputError, match="need the market"):
        dl.measure(signals)


def test_what_is_measured_on_a_market_counts_as_a_trial(workspace, ours) -> None:
    market = dl.market(
        "sample/ohlcv/BTC/USD/1d", start="2016-01-01", end="2020-01-01", workspace=workspace
    )
    returns = ours.evaluation.backtest.returns
    for _ in range(2):
        dl.measure(returns, market=market, stamped="open", workspace=workspace)
    assert dl.trials(workspace=workspace).frame["by"].tolist() == ["measured"]


def test_what_cannot_be_a_measure_is_said(market, ours) -> None:
    returns = ours.evaluation.backtest.returns
    with pytest.raises(InputError, match="hardly any is 1h, and most are 1d"):
        dl.measure(returns, benchmark=returns, stamped="open", timeframe="1h")
    with pytest.raises(InputError, match=r"costs must be a delever\.Costs"):
        dl.measure(returns, market=market, stamped="open", costs="x")
    calm = (4.0 * returns).clip(lower=-0.9)
    assert dl.measure(calm, market=market, stamped="open").notes[0].startswith("returns may be")
