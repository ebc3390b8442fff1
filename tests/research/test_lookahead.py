"""Planted leaks are found, and nothing that only looks back is accused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError
from delever.frames import validate
from delever.research.cuts import FIRST, questions
from delever.research.lookahead import find_leak, shrink_leak, told_apart
from delever.research.perturbation import Perturbation, perturb_future, published_later, window
from delever.research.strategy_checks import check_strategy, check_target
from delever.view import MarketView, Reading

Function = Callable[[MarketView], pd.Series]


@pytest.fixture(scope="module")
def market() -> MarketView:
    rng = np.random.default_rng(11)
    rows = 300
    index = pd.date_range("2021-01-01", periods=rows, tz="UTC", name="open_time")
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.03, rows)))
    opens = np.concatenate([[100.0], close[:-1]])
    bars = pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, close) * 1.01,
            "low": np.minimum(opens, close) * 0.99,
            "close": close,
            "volume": rng.exponential(10, rows),
        },
        index=index,
    )
    fear = pd.DataFrame({"value": rng.uniform(0, 100, rows)}, index=index)
    return MarketView(
        bars=bars,
        timeframe="1d",
        readings={"fear": Reading(frame=fear, publication_lag=pd.Timedelta(hours=25))},
    )


def close(market: MarketView) -> pd.Series:
    return market.bars["close"]


def side(condition: pd.Series) -> pd.Series:
    return condition.astype("float64")


def weekly(market: MarketView) -> pd.Series:
    return close(market).resample("W-MON", label="left", closed="left").last()


def known_early(market: MarketView) -> pd.Series:
    pivot = close(market) == close(market).rolling(7, center=True, min_periods=1).min()
    return side(pivot)


def fitted_scaler(market: MarketView) -> pd.Series:
    """Least and greatest are learned from the whole sample, then every bar is put between them."""
    values = market.bars["volume"].to_numpy()
    low, high = np.quantile(values, [0.05, 0.95])
    return pd.Series((values - low) / (high - low), index=market.index).clip(0.0, 1.0)


def kst(market: MarketView) -> pd.Series:
    from ta.trend import KSTIndicator

    windows = dict.fromkeys(("window1", "window2", "window3", "window4"), 3)
    return KSTIndicator(close(market), 5, 8, 10, 15, **windows).kst()


def psar(market: MarketView, *, fill: bool) -> pd.Series:
    from ta.trend import PSARIndicator

    bars = market.bars.reset_index(drop=True) if fill else market.bars
    found = PSARIndicator(bars["high"], bars["low"], bars["close"], fillna=fill)
    return found.psar_up().set_axis(market.index) if fill else found.psar()


LEAKS: dict[str, Function] = {
    "shift": lambda m: side(close(m).shift(-1) > close(m)),
    "shift, end patched": lambda m: side(close(m).shift(-1).fillna(close(m)) >= close(m)),
    "candle of the next bar": lambda m: side(
        (m.bars["close"] > m.bars["open"]).shift(-1, fill_value=True)
    ),
    "centred mean": lambda m: side(close(m) > close(m).rolling(5, center=True).mean()),
    "pivot known early": known_early,
    "back-fill": lambda m: close(m).rolling(20).mean().bfill(),
    "normalised by the whole sample": lambda m: side(
        (close(m) - close(m).mean()) / close(m).std() > 0
    ),
    "minimum of the whole series": lambda m: side(close(m) > 1.2 * close(m).min()),
    "rank in the whole series": lambda m: close(m).rank(pct=True),
    "week labelled by its first day": lambda m: side(
        weekly(m).reindex(m.index, method="ffill") > close(m)
    ),
    "interpolation": lambda m: close(m).where(np.arange(len(m.index)) % 5 == 0).interpolate(),
    "reversed": lambda m: close(m)[::-1].ewm(span=5).mean()[::-1],
    "reading taken by its stamp": lambda m: side(
        m.readings["fear"].frame["value"].reindex(m.index).gt(50)
    ),
    "maximum of the whole series": lambda m: close(m) / close(m).max(),
    "month labelled by its first day": lambda m: (
        close(m).resample("MS").last().reindex(m.index, method="ffill")
    ),
    "scaler fitted on everything": lambda m: fitted_scaler(m),
    "ta's KST with its holes filled": lambda m: kst(m),
    "ta's PSAR with its holes filled": lambda m: psar(m, fill=True),
    "number of bars": lambda m: pd.Series(1.0 / len(m.index), index=m.index),
}

HONEST: dict[str, Function] = {
    "hold": lambda m: pd.Series(1.0, index=m.index),
    "mean": lambda m: side(close(m) > close(m).rolling(20).mean()),
    "exponential": lambda m: close(m).ewm(span=30, adjust=False).mean(),
    "expanding": lambda m: (close(m) - close(m).expanding().mean()) / close(m).expanding().std(),
    "week": lambda m: m.align(m.resample("1w")["close"].rolling(4).mean(), "1w"),
    "reading": lambda m: side(m.series("fear") > 50),
    "nothing yet": lambda m: pd.Series(np.nan, index=m.index),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_planted_leak_is_found(name: str, market: MarketView) -> None:
    function = LEAKS[name]
    leak = find_leak(function, market, points=6)
    assert leak is not None
    # The counterexample is a fact: the bar has the one value with the future, not without.
    assert leak.bar <= leak.after < market.index[-1]
    whole = function(market)[leak.bar]
    np.testing.assert_equal(float(whole), leak.with_future)
    if leak.change == "removed" and not leak.error:
        part = market.upto(leak.after + pd.Timedelta(1, "D"))
        np.testing.assert_equal(float(function(part)[leak.bar]), leak.without)
    assert f"bar {leak.bar:%Y-%m-%d}" in str(leak)


@pytest.mark.parametrize("name", HONEST)
def test_what_only_looks_back_is_not_accused(name: str, market: MarketView) -> None:
    assert find_leak(HONEST[name], market, points=6) is None


def test_the_counterexample_is_told_in_one_sentence() -> None:
    days = pd.date_range("2021-01-01", periods=4, tz="UTC")
    bars = pd.DataFrame({"close": [1.0, 2, 3, 4]}, index=days)
    small = MarketView(bars=bars, timeframe="1d")
    assert str(find_leak(lambda m: m.bars["close"].bfill().shift(-2), small)) == (
        "bar 2021-01-01 00:00: 3 with the bars after 2021-01-01 00:00 as they were, nan with them "
        "removed; a value may depend only on what was known at its own close"
    )


def test_only_replacing_the_future_shows_a_leak_that_hides_from_removal(
    market: MarketView,
) -> None:
    def sly(seen: MarketView) -> pd.Series:
        later = close(seen).shift(-1)
        # On the last bar, where removal would show, it answers what the whole market would give.
        last = close(market).shift(-1).reindex(seen.index).iloc[-1]
        return side(later.fillna(last) > close(seen))

    leak = find_leak(sly, market, points=6)
    assert leak is not None
    assert leak.change == "mirrored"
    assert "upside down" in str(leak)


def test_shuffling_shows_a_leak_that_mirroring_keeps(market: MarketView) -> None:
    def sly(seen: MarketView) -> pd.Series:
        span, original = (np.log(m.bars["high"] / m.bars["low"]).shift(-1) for m in (seen, market))
        return side(span.fillna(original.reindex(seen.index)) > 0.05)

    # Mirroring keeps the span of every bar after the cut.
    leak = find_leak(sly, market, points=6)
    assert leak is not None
    assert leak.change == "shuffled"
    assert "with them shuffled" in str(leak)


def test_scrambling_shows_a_leak_that_mirroring_and_shuffling_keep(market: MarketView) -> None:
    total = market.bars["volume"].sum()

    def sly(seen: MarketView) -> pd.Series:
        whole = len(seen.index) == len(market.index)
        later = seen.bars["volume"].sum() if whole else total
        return pd.Series(round(float(later), 6), index=seen.index)

    # Neither another order nor an upturned price changes how much is traded in all.
    leak = find_leak(sly, market, points=6)
    assert leak is not None
    assert leak.change == "scrambled"


def test_replaced_readings_show_a_leak_through_the_stamp(market: MarketView) -> None:
    def stamped(seen: MarketView) -> pd.Series:
        values, original = (m.readings["fear"].frame["value"] for m in (seen, market))
        return side(values.reindex(seen.index).fillna(original) > 50)

    leak = find_leak(stamped, market, points=6)
    assert leak is not None
    assert leak.change == "mirrored"


def test_a_leak_on_a_single_bar_is_found_where_the_value_changes(market: MarketView) -> None:
    moves = close(market).pct_change()
    assert moves.idxmin() > market.index[10]

    def rare(seen: MarketView) -> pd.Series:
        return side(close(seen).pct_change().shift(-1) == moves.min())

    leak = find_leak(rare, market, points=1)
    assert leak is not None
    assert leak.bar == moves.idxmin() - pd.Timedelta(1, "D")


def test_every_future_shown_is_a_possible_one(market: MarketView) -> None:
    shown: list[MarketView] = []

    def remembers(seen: MarketView) -> pd.Series:
        shown.append(seen)
        return pd.Series(1.0, index=seen.index)

    assert find_leak(remembers, market, points=3) is None
    for seen in shown:
        kept = validate(seen.bars, "ohlcv", "1d", where="shown")
        same = (kept == market.bars.iloc[: len(kept)]).all(axis=1).to_numpy()
        # Only what comes after a cut changed; a shuffled bar may fall back into its own place.
        past = len(same) if same.all() else int(same.argmin())
        assert past > 0
        assert (~same[past:]).sum() >= 0.9 * (len(same) - past)
    # Three cuts anywhere and three before the largest moves, with every change; whole, and again.
    assert len(shown) == 2 + 4 * 6


def with_line(
    exposure: Function, name: str, line: Function
) -> Callable[[MarketView], pd.DataFrame]:
    return lambda m: pd.DataFrame({name: line(m), "exposure": exposure(m)})


@pytest.mark.parametrize("name", ["centred mean", "back-fill", "pivot known early", "reversed"])
def test_a_line_that_peeks_is_reported_by_name(name: str, market: MarketView) -> None:
    peeks = with_line(HONEST["mean"], "centre line", LEAKS[name])
    leak = find_leak(peeks, market, points=6)
    assert leak is not None
    assert leak.column == "centre line"
    assert str(leak).startswith(f"line 'centre line', bar {leak.bar:%Y-%m-%d} 00:00: ")
    np.testing.assert_equal(float(peeks(market)["centre line"][leak.bar]), leak.with_future)
    few = shrink_leak(peeks, market, leak)
    assert few.column == "centre line"
    assert few.last - few.first < leak.last - leak.first
    [finding, *_] = check_strategy(peeks, market, points=6)
    assert finding.check == "prefix invariance"
    assert "line 'centre line'" in finding.message


def test_a_line_that_changes_once_is_asked_where_it_does(market: MarketView) -> None:
    lowest = close(market).idxmin()
    assert lowest > market.index[10]
    early = lowest - pd.Timedelta(1, "D")

    def floor(seen: MarketView) -> pd.Series:
        """The lowest close there is, drawn from the day before it on."""
        low = close(seen).min()
        return pd.Series(np.where(seen.index >= early, low, np.nan), index=seen.index)

    assert floor(market)[early] < close(market)[early]
    leak = find_leak(with_line(HONEST["hold"], "floor", floor), market, points=1)
    assert leak is not None
    assert (leak.column, leak.bar) == ("floor", early)


def test_a_peeking_exposure_beside_a_line_is_told_as_an_exposure(market: MarketView) -> None:
    leak = find_leak(with_line(LEAKS["shift"], "mean", HONEST["week"]), market, points=6)
    assert leak is not None
    assert leak.column == "exposure"
    assert str(leak).startswith("bar ")


def test_a_line_that_is_there_only_with_the_future_is_a_leak(market: MarketView) -> None:
    def sometimes(seen: MarketView) -> pd.DataFrame:
        answer = pd.DataFrame({"exposure": 1.0}, index=seen.index)
        return answer.assign(late=close(seen)) if seen.index[-1] == market.index[-1] else answer

    leak = find_leak(sometimes, market, points=3)
    assert leak is not None
    assert (leak.column, leak.change) == ("late", "removed")
    assert np.isnan(leak.without)


def test_an_honest_line_on_the_price_scale_passes(market: MarketView) -> None:
    line = with_line(HONEST["mean"], "20-day sma", lambda m: close(m).rolling(20).mean())
    assert check_strategy(line, market, points=3) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (lambda m: close(m) / close(m).rolling(20).mean(), "but .* with every price times 1024"),
        (lambda m: pd.Series(120.0, index=m.index), "120, but 120 with every price times 1024"),
    ],
)
def test_a_line_off_the_price_scale_is_refused(
    line: Function, said: str, market: MarketView
) -> None:
    [finding] = check_strategy(with_line(HONEST["mean"], "ratio", line), market, points=3)
    assert finding.check == "unit-free"
    assert pd.Series([finding.message]).str.contains(said).all(), finding.message
    assert finding.message.startswith("line 'ratio', bar ")


def test_what_needs_the_future_to_answer_at_all_is_a_leak(market: MarketView) -> None:
    def needs(seen: MarketView) -> pd.Series:
        if len(seen.index) < 100:
            raise ValueError("too short")
        return pd.Series(1.0, index=seen.index)

    leak = find_leak(needs, market, points=6)
    assert leak is not None
    assert leak.error == "ValueError: too short"
    assert "raises ValueError: too short" in str(leak)


def test_raising_in_warm_up_is_no_leak(market: MarketView) -> None:
    def warm(seen: MarketView) -> pd.Series:
        if len(seen.index) < 100:
            raise ValueError("too short")
        return pd.Series(1.0, index=seen.index).where(np.arange(len(seen.index)) >= 99)

    assert find_leak(warm, market, points=6) is None


def test_what_is_random_is_told_apart_from_a_leak(market: MarketView) -> None:
    rng = np.random.default_rng(0)
    leak = find_leak(lambda m: pd.Series(rng.normal(size=len(m.index)), index=m.index), market)
    assert leak is not None
    assert leak.change == "repeated"
    assert "second" in str(leak)


def test_columns_added_to_the_bars_do_not_reach_the_next_question(market: MarketView) -> None:
    def adds(seen: MarketView) -> pd.Series:
        assert "mine" not in seen.bars
        seen.bars["mine"] = 1.0
        return seen.bars["mine"]

    assert check_strategy(adds, market, points=3) == []
    assert "mine" not in market.bars


def test_a_slow_function_is_asked_at_so_many_cuts_and_few_more(market: MarketView) -> None:
    prices = close(market).to_numpy(dtype="float64")
    moved = np.arange(len(prices) - 1) % 3 == 0
    least, then = questions([moved], prices, 150)
    assert len({row for _, row in least}) == 150
    assert len(least) <= 150 + 3 * 4 * FIRST  # each of four kinds of cuts with three more changes
    assert {row for _, row in then} == set(range(len(prices) - 1))


def test_a_changed_future_is_short(market: MarketView) -> None:
    for change in get_args(Perturbation):
        seen = perturb_future(market, market.index[20], change)
        longest = len(market.index) if change in ("repeated", "published later") else 20 + 251
        assert len(seen.index) == (21 if change == "removed" else longest)


def test_every_bar_is_asked_while_there_is_time(market: MarketView) -> None:
    day = market.index[211]

    def once(seen: MarketView) -> pd.Series:
        """One bar of 300 knows a little of the next, beside an exposure that moves on all."""
        base = (close(seen) / close(seen).rolling(5).max()).fillna(0.5)
        knows = base * np.where(close(seen).shift(-1) > close(seen), 1.0, 1.0 - 3e-8)
        return base.where(base.index != day, knows)

    assert find_leak(once, market, points=2) is None
    leak = find_leak(once, market, points=2, seconds=60)
    assert leak is not None
    assert leak.bar == leak.after == day
    one, other = told_apart(leak.with_future, leak.without)
    assert one != other
    assert f"{one} with the bars" in str(leak)
    assert f"{other} with them" in str(leak)


def test_what_is_random_now_and_then_is_no_leak(market: MarketView) -> None:
    asked = []

    def moody(seen: MarketView) -> pd.Series:
        asked.append(1)
        return pd.Series(float(len(asked) > 9), index=seen.index)

    leak = find_leak(moody, market, points=6)
    assert leak is not None
    assert leak.change == "repeated"


def test_the_search_is_deterministic(market: MarketView) -> None:
    one, two = (find_leak(LEAKS["centred mean"], market, points=7, seed=4) for _ in range(2))
    assert one == two


def test_refuses_a_market_without_a_future(market: MarketView) -> None:
    with pytest.raises(InputError, match="at least 2 bars; got 1"):
        find_leak(HONEST["hold"], replace(market, bars=market.bars.iloc[:1]))
    with pytest.raises(InputError, match="points must be a whole number, from 1 to 10,000; got 0"):
        find_leak(HONEST["hold"], market, points=0)


def test_what_fails_on_the_whole_market_fails(market: MarketView) -> None:
    with pytest.raises(KeyError, match="closing"):
        find_leak(lambda m: m.bars["closing"], market)
    with pytest.raises(InputError, match="got 299 rows for 300 bars"):
        find_leak(lambda m: m.bars["close"].iloc[1:], market)


def test_what_an_exposure_must_be(market: MarketView) -> None:
    index = market.index
    good = pd.Series(1.0, index=index)
    assert check_target(good, index) is None
    assert check_target(good.astype("int64"), index) is None
    assert check_target(good.astype("Float64"), index) is None
    assert check_target(good.where(np.arange(300) > 9), index) is None
    for bad, check, said in [
        (good.to_numpy(), "same index", "got ndarray"),
        (good.iloc[1:], "same index", "299 rows for 300 bars, and row 1 is 2021-01-02"),
        (good.set_axis(index + pd.Timedelta(1, "D")), "same index", "row 1 is 2021-01-02"),
        (good > 0, "finite after warm-up", "dtype bool"),
        (good.where(np.arange(300) != 40), "finite after warm-up", "2021-02-10 00:00 .* got nan"),
        (good.mask(np.arange(300) == 0, np.inf), "finite after warm-up", "2021-01-01 .* got inf"),
    ]:
        finding = check_target(bad, index)
        assert finding is not None
        assert finding.check == check
        assert pd.Series([str(finding)]).str.contains(said).all(), str(finding)


def priced(market: MarketView, *, level: float = 100.0, steps: tuple[float, ...] = ()) -> pd.Series:
    return side(close(market) > max(level, *steps, 0.0))


def test_a_price_in_the_code_is_bound_to_a_unit_and_a_price_parameter_is_not(
    market: MarketView,
) -> None:
    given = {"level": 100.0, "steps": (90.0, 110.0)}
    marked = check_strategy(
        priced, market, parameters=given, price_parameters=("level", "steps"), points=3
    )
    assert marked == []
    [finding] = check_strategy(priced, market, parameters=given, points=3)
    assert finding.check == "unit-free"
    assert "times 1024" in finding.message
    [hidden] = check_strategy(priced, market, price_parameters=("level",), points=3)
    assert hidden.check == "unit-free"  # the default is a price that nobody scaled


def test_a_strategy_can_fail_in_two_ways(market: MarketView) -> None:
    found = check_strategy(lambda m: side(close(m).shift(-1) > 100), market, points=3)
    assert [finding.check for finding in found] == ["prefix invariance", "unit-free"]


def test_an_exposure_that_is_none_is_the_only_finding(market: MarketView) -> None:
    [finding] = check_strategy(lambda m: close(m).shift(-1), market, points=3)
    assert finding.check == "finite after warm-up"
    assert str(finding).startswith("finite after warm-up: the exposure of bar 2021-10-27 00:00")


def test_ta_psar_on_stamps_is_refused_for_the_rows_it_invents(market: MarketView) -> None:
    with pytest.raises(InputError, match=r"one value per bar is required.* rows for 300 bars"):
        find_leak(lambda m: psar(m, fill=False), market, points=6)


# Publication: what a reading says of a day may not be known before the day begins.


def index_of_day(lag: str) -> MarketView:
    """Thirty daily bars and an index whose row of day d says how bar d will turn out."""
    index = pd.date_range("2024-01-01", periods=30, tz="UTC")
    close = pd.Series(np.where(np.arange(30) % 3 == 0, 2.0, 1.0), index=index)
    fear = pd.DataFrame({"value": close.to_numpy()}, index=index)
    return MarketView(
        bars=pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], close)),
        timeframe="1d",
        readings={"fear_greed": Reading(frame=fear, publication_lag=pd.Timedelta(lag))},
    )


LEAST = {"fear_greed": pd.Timedelta("1min")}


def test_an_index_declared_without_a_lag_is_found() -> None:
    def afraid(seen: MarketView) -> pd.Series:
        return side(seen.series("fear_greed") > 1.5)

    unlagged, lagged = index_of_day("0h"), index_of_day("1min")
    assert find_leak(afraid, unlagged, points=6) is None  # the data say that it was known
    leak = find_leak(afraid, unlagged, least_lags=LEAST)
    assert leak is not None
    assert leak.change == "published later"
    assert "declare their publication lag" in str(leak)
    # The index is 2 on days 0, 3, 6, ...: at the close of day 2 the row of day 3 cannot be known.
    assert leak.bar == unlagged.index[0]
    assert find_leak(afraid, lagged, points=6, least_lags=LEAST) is None
    few = shrink_leak(afraid, unlagged, leak, least_lags=LEAST)
    assert (few.first, few.last) == (leak.bar, leak.bar)


def test_readings_are_published_later_only_where_they_were_too_early() -> None:
    market = index_of_day("2h")
    later = published_later(market, LEAST | {"other": pd.Timedelta("1D")})
    assert later.readings["fear_greed"].publication_lag == pd.Timedelta("2h")
    early = published_later(index_of_day("0h"), LEAST)
    assert early.readings["fear_greed"].publication_lag == pd.Timedelta("1min")


# The smallest market that shows it.


@pytest.mark.parametrize(
    ("name", "bars"),
    [
        ("shift", 2),
        ("candle of the next bar", 2),
        ("reversed", 2),
        ("maximum of the whole series", 2),
        ("number of bars", 2),
        # Two bars ahead of the first one with a whole window of five.
        ("centred mean", 5),
        # The mean of twenty is filled back from the twentieth bar.
        ("back-fill", 20),
    ],
)
def test_a_leak_is_cut_down_to_the_bars_that_show_it(
    name: str, bars: int, market: MarketView
) -> None:
    function = LEAKS[name]
    found = find_leak(function, market, points=6)
    assert found is not None
    leak = shrink_leak(function, market, found)
    small = window(market, leak.first, leak.last)
    assert len(small.index) == bars
    # It is a fact about these few bars.
    other = perturb_future(small, leak.after, leak.change, seed=leak.seed)
    np.testing.assert_equal(float(function(small)[leak.bar]), leak.with_future)
    np.testing.assert_equal(float(function(other)[leak.bar]), leak.without)


@pytest.mark.parametrize("name", LEAKS)
def test_what_is_left_of_a_leak_is_one_and_no_longer(name: str, market: MarketView) -> None:
    found = find_leak(LEAKS[name], market, points=6)
    assert found is not None
    leak = shrink_leak(LEAKS[name], market, found)
    assert leak.first <= leak.bar <= leak.after < leak.last
    assert market.index[0] <= leak.first
    assert leak.last <= market.index[-1]
    np.testing.assert_raises(
        AssertionError, np.testing.assert_equal, leak.with_future, leak.without
    )


def test_an_answer_that_changes_by_itself_is_not_cut_down(market: MarketView) -> None:
    rng = np.random.default_rng(0)

    def dice(seen: MarketView) -> pd.Series:
        return pd.Series(rng.normal(size=len(seen.index)), index=seen.index)

    leak = find_leak(dice, market, points=2)
    assert leak is not None
    assert shrink_leak(dice, market, leak) is leak
