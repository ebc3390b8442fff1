"""Each computation by hand, and each verdict from what holds, fails or is not there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError, NotStoredError
from delever.research.claims.audit import Claim, ClaimDefinition, Expectation, audit
from delever.research.claims.computations import vocabulary
from delever.research.claims.protocol import ClaimFigure, ClaimSource, computation


def day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC").as_unit("ns")


def series(values: list[float], start: str = "2024-01-01", freq: str = "D") -> ClaimSource:
    index = pd.date_range(start, periods=len(values), freq=freq, tz="UTC", name="timestamp")
    return ClaimSource(
        name="coin", frame=pd.DataFrame({"x": np.array(values)}, index=index), timeframe="1d"
    )


def bars(
    close: list[float], low: list[float] | None = None, high: list[float] | None = None
) -> ClaimSource:
    index = pd.date_range("2024-01-01", periods=len(close), tz="UTC", name="open_time")
    frame = pd.DataFrame(
        {"open": close, "high": high or close, "low": low or close, "close": close}, index=index
    ).astype("float64")
    return ClaimSource(name="coin", frame=frame, timeframe="1d")


def ask(name: str, source: ClaimSource, at: str, **options: Any) -> ClaimFigure:
    stamps = {
        key: day(value) if key in {"since", "top", "bottom", "rebound"} else value
        for key, value in options.items()
    }
    return vocabulary()[name].compute(source, day(at), **stamps)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        # Seven days from Monday 2024-01-01: closes 10, 8, 12, 9, 6, 15, 3.
        ("value", {}, 3.0),
        ("change", {"days": 2}, 3 / 6 - 1),
        ("change", {"rows": 1}, 3 / 15 - 1),
        ("change", {"since": "2024-01-01"}, 3 / 10 - 1),
        ("change", {"since": "2024-01-01", "price": 7.0}, 7 / 10 - 1),
        ("total", {"since": "2024-01-05"}, 6 + 15 + 3),
        ("lowest", {"since": "2024-01-02"}, 3.0),
        ("days_since_high", {"since": "2024-01-02", "column": "close"}, 1.0),
        ("fall", {"since": "2024-01-02"}, 3 / 15 - 1),
        ("fall", {"since": "2024-01-02", "price": 6.0}, 6 / 15 - 1),
    ],
)
def test_a_number_by_hand(name: str, options: dict[str, Any], expected: float) -> None:
    figure = ask(name, bars([10, 8, 12, 9, 6, 15, 3]), "2024-01-07", **options)
    assert figure.value == pytest.approx(expected, rel=1e-12)


def test_dates_by_hand() -> None:
    coin = bars([10, 5, 12, 9, 6, 15, 6])
    assert ask("lowest_since", coin, "2024-01-07").value == day("2024-01-05")
    assert ask("lowest_since", coin, "2024-01-07", level=5.5).value == day("2024-01-02")
    assert pd.isna(ask("lowest_since", coin, "2024-01-07", level=4.0).value)
    assert ask("highest_since", coin, "2024-01-07", level=11.0).value == day("2024-01-06")
    assert pd.isna(ask("highest_since", coin, "2024-01-06").value)
    assert ask("first_below", coin, "2024-01-03", level=9.5).value == day("2024-01-04")
    assert pd.isna(ask("first_below", coin, "2024-01-03", level=1.0).value)
    # Two-day changes: 0.2, 0.8, -0.5, 0.667, 0: the last earlier one at or below zero is the 5th's.
    assert ask("lowest_since", coin, "2024-01-07", days=2).value == day("2024-01-05")


def test_a_record_is_as_rare_as_records_that_reach_back_as_far() -> None:
    # The 7th's 1.0 was last undercut on the 4th, three days before: a record of three days. Of
    # the rows that have three days before them (4th, 5th, 6th) only the 4th is below all three.
    figure = ask("lowest_since", bars([5, 4, 3, 0.5, 2, 3, 1]), "2024-01-07")
    assert figure.value == day("2024-01-04")
    assert figure.events is not None
    past = figure.events[figure.events.index < day("2024-01-07")]
    assert past.tolist() == [True, False, False]


def test_an_average_uses_weeks_closed_by_the_end_of_the_day() -> None:
    # Sundays close 1, 2, 3, 4; a Saturday does not know its own week.
    closes = [float(1 + row // 7) for row in range(28)]
    coin = bars(closes)
    assert ask("average", coin, "2024-01-28", weeks=2, average="sma").value == 3.5
    assert ask("average", coin, "2024-01-27", weeks=2, average="sma").value == 2.5
    assert ask("average", coin, "2024-01-28", weeks=2, average="wma").value == pytest.approx(11 / 3)
    # ema of span 3 halves the distance: 1, 1.5, 2.25, 3.125.
    assert ask("average", coin, "2024-01-28", weeks=3, average="ema").value == 3.125
    with pytest.raises(NotStoredError, match="no 4 closed weeks"):
        ask("average", coin, "2024-01-27", weeks=4, average="sma")
    with pytest.raises(NotStoredError, match="2024-01-01 to 2024-01-28"):
        ask("average", coin, "2024-03-01", weeks=2, average="sma")


def test_a_correlation_is_of_common_days_only() -> None:
    coin = series([1.0, 2.0, 4.0, 3.0, 9.0])
    # The other market is closed on the 4th.
    other = series([2.0, 3.0, 9.0, 0.0, 8.0])
    other = replace(other, frame=other.frame.drop(index=day("2024-01-04")))
    figure = ask("correlation", coin, "2024-01-05", beside=other, window=4, of="levels")
    expected = np.corrcoef([1, 2, 4, 9], [2, 3, 9, 8])[0, 1]
    assert figure.value == pytest.approx(expected, rel=1e-9)
    logs = ask("correlation", coin, "2024-01-05", beside=other, window=3)
    expected = np.corrcoef(np.diff(np.log([1, 2, 4, 9])), np.diff(np.log([2, 3, 9, 8])))[0, 1]
    assert logs.value == pytest.approx(expected, rel=1e-9)
    with pytest.raises(NotStoredError, match="no row stamped 2024-01-04"):
        ask("correlation", coin, "2024-01-04", beside=other, window=2, of="levels")


def test_targets_and_levels_by_hand() -> None:
    coin = bars([10, 5, 8, 7], low=[9, 4, 7, 6], high=[11, 6, 9, 8])
    swings = {"top": "2024-01-01", "bottom": "2024-01-02", "rebound": "2024-01-03"}
    assert ask("extension", coin, "2024-01-04", ratio=0.5, **swings).value == 9 - 0.5 * (11 - 4)
    with pytest.raises(InputError, match="must follow one another"):
        ask("extension", coin, "2024-01-02", **swings)
    assert ask("next_round", coin, "2024-01-04", level=70_000.0).value == 65_000
    assert ask("next_round", coin, "2024-01-04", level=100_000.0).value == 95_000
    network = series([3.6e18 / 2**32])
    network.frame.columns = ["difficulty"]
    # 3.6e18 hashes at 1 J per 1e12 are 3.6e6 J, one kWh, for 2 coins at 0.10.
    options = {"joules_per_terahash": 1.0, "power_price": 0.10, "subsidy": 2.0}
    assert ask("shutdown", network, "2024-01-01", **options).value == pytest.approx(0.05)


def test_the_rate_of_reaching_counts_each_break_once() -> None:
    # Round numbers near 100 are 50 apart, below 100 they are 5 apart. Breaks of the level that
    # the previous close stood on: row 1 (below 100), row 2 (below 95: inside the first one's
    # three days, not counted), row 6 (below 100).
    close = [101, 99, 94, 101, 102, 101, 99, 99, 99, 99, 99, 99, 99.0]
    low = [101, 99, 89, 101, 102, 101, 99, 98, 98, 98, 98, 98, 98.0]
    figure = ask("reach_rate", bars(close, low=low), "2024-01-13", fall=0.10, days=3)
    # 90 was reached after the first (89), not after the second (98).
    assert figure.value == 0.5
    # A break exactly three days after one that counts is counted, one a day earlier is not.
    close = [101, 99, 101, 101, 99, 101, 101, 99, 98, 98, 98, 98.0]
    low = [101, 99, 101, 101, 99, 101, 89, 99, 98, 98, 98, 98.0]
    # Breaks in rows 1, 4 and 7; 90 is reached within three days after the second alone.
    assert ask("reach_rate", bars(close, low=low), "2024-01-12", fall=0.10, days=3).value == 1 / 3
    # Within four days the second is not counted, and the first does not reach row 6.
    assert ask("reach_rate", bars(close, low=low), "2024-01-12", fall=0.10, days=4).value == 0
    with pytest.raises(NotStoredError, match="no break of a round number"):
        ask("reach_rate", bars([5.0] * 9), "2024-01-08", fall=0.1, days=2)


@pytest.mark.parametrize(
    ("name", "at", "options"),
    [
        ("value", "2024-01-04", {}),
        ("total", "2024-01-03", {"since": "2023-12-31"}),
        ("total", "2024-01-04", {"since": "2024-01-02"}),
        ("lowest", "2024-01-05", {"since": "2024-01-04"}),
        ("change", "2024-01-01", {"rows": 1}),
    ],
)
def test_what_the_data_do_not_reach_is_not_measured(
    name: str, at: str, options: dict[str, Any]
) -> None:
    with pytest.raises(NotStoredError, match="'coin'"):
        ask(name, series([1.0, 2.0, 3.0]), at, **options)


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="either days or rows"):
        ask("change", series([1.0, 2.0]), "2024-01-02")
    with pytest.raises(InputError, match="has the columns open, high, low, close; got 'vwap'"):
        ask("value", bars([1.0]), "2024-01-01", column="vwap")


# Verdicts.


def define(label: str, low: float, **more: Any) -> ClaimDefinition:
    expects = Expectation(test="above", low=low)
    given = {"compute": "value", "series": "coin", "at": day("2024-01-02"), "expects": expects}
    return ClaimDefinition(label=label, **(given | more))


YES, NO = define("yes", 1.0), define("no", 9.0)
GONE = define("gone", 1.0, series="rumour")
OTHER = define("other", 9.0, stand_in=True)
ASIDE = define("aside", 0.0, expects=None)


@pytest.mark.parametrize(
    ("definitions", "verdict", "because"),
    [
        ([YES, YES], "confirmed", "holds: yes, yes"),
        ([NO], "contradicted", "fails: no"),
        ([YES, NO], "depends on the definition", "holds: yes; fails: no"),
        ([GONE], "not testable", "not testable: gone (series 'rumour' would decide it"),
        ([YES, GONE], "confirmed", "holds: yes; not testable: gone"),
        ([NO, GONE], "contradicted", "fails: no; not testable: gone"),
        ([OTHER, GONE], "depends on the definition", "fails: other; not testable: gone"),
        ([OTHER], "depends on the definition", "fails: other"),
        ([YES, OTHER], "confirmed", "holds: yes; fails: other"),
        ([YES, ASIDE], "confirmed", "holds: yes"),
    ],
)
def test_verdicts(definitions: list[ClaimDefinition], verdict: str, because: str) -> None:
    claim = Claim(id="x", statement="X.", said=day("2024-01-02"), definitions=tuple(definitions))
    audited = audit([claim], {"coin": series([1.0, 2.0])})[0]
    assert audited.verdict == verdict
    assert audited.because.startswith(because)


def test_a_date_earlier_than_claimed_confirms_and_says_so() -> None:
    expects = Expectation(test="since", low=day("2024-01-03"), high=day("2024-01-04"))
    coin = series([9.0, 1.0, 5.0, 5.0, 2.0])

    def audited(level: float, source: ClaimSource = coin) -> Any:
        one = define("low", 0.0, compute="lowest_since", expects=expects, at=day("2024-01-05"))
        one = ClaimDefinition(
            label="low",
            compute=one.compute,
            series="coin",
            at=one.at,
            expects=expects,
            options={"level": level},
        )
        claim = Claim(id="x", statement="X.", said=one.at, definitions=(one,))
        return audit([claim], {"coin": source})[0]

    assert audited(2.0).because == "holds: low; understated: low"  # the 2nd, before the 3rd
    assert audited(5.0).because == "holds: low"  # the 4th
    assert audited(0.5).verdict == "confirmed"  # never, in data that reach back far enough
    short = series([5.0, 2.0], start="2024-01-04")
    assert audited(0.5, short).verdict == "not testable"
    assert "begins 2024-01-04" in audited(0.5, short).because


@pytest.mark.parametrize(
    ("expects", "rate"),
    [
        (Expectation(test="below", high=2.0), 2 / 5),
        (Expectation(test="above", low=4.0), 2 / 5),
        (Expectation(test="between", low=2.0, high=4.0), 3 / 5),
        # As far from the median (3) as the claim, on its side, the tolerance granted.
        (Expectation(test="near", low=2.0, tolerance=0.5), 2 / 5),
        (Expectation(test="near", low=4.5, tolerance=0.5), 2 / 5),
    ],
)
def test_the_base_rate_is_counted_before_the_day_of_the_claim(
    expects: Expectation, rate: float
) -> None:
    coin = series([1.0, 2.0, 3.0, 4.0, 5.0, 2.0, 2.0])
    one = define("x", 0.0, expects=expects, at=day("2024-01-06"))
    claim = Claim(id="x", statement="X.", said=one.at, definitions=(one,))
    measured = audit([claim], {"coin": coin})[0].measured[0]
    assert (measured.base_rate, measured.rows) == (rate, 5)


def test_an_unknown_computation_is_refused() -> None:
    claim = Claim(
        id="x", statement="X.", said=day("2024-01-02"), definitions=(define("x", 1.0, compute="y"),)
    )
    with pytest.raises(InputError, match="compute must be one of value, "):
        audit([claim], {"coin": series([1.0, 2.0])})[0]


def test_a_computation_from_outside_is_named_like_the_others_and_given_series_by_name() -> None:
    @computation("number")
    def ratio(series: ClaimSource, at: pd.Timestamp, *, to: ClaimSource) -> ClaimFigure:
        return ClaimFigure(value=series.at(at) / to.at(at))

    assert ratio.options() == {"to": (ClaimSource, ...)}
    one = define("x", 2.0, compute="ratio", options={"to": "gold"}, at=day("2024-01-02"))
    claim = Claim(id="x", statement="X.", said=one.at, definitions=(one,))
    sources = {"coin": series([1.0, 6.0]), "gold": series([1.0, 3.0])}
    [audited] = audit([claim], sources, computations=[ratio])
    assert (audited.verdict, audited.measured[0].value) == ("confirmed", 2.0)
    [audited] = audit([claim], {"coin": sources["coin"]}, computations=[ratio])
    assert audited.because == "not testable: x (series 'gold' would decide it and is not there)"
    with pytest.raises(InputError, match="a name of its own; 'ratio' repeats"):
        audit([claim], sources, computations=[ratio, ratio])


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        # Seven days from Monday 2024-01-01: closes 10, 8, 12, 9, 6, 15, 3.
        ("streak", {}, 1.0),
        ("streak", {"of": "rises"}, 0.0),
        ("count", {"since": "2024-01-02", "below": 9.5}, 4.0),
        ("count", {"since": "2024-01-02", "below": 13.0, "above": 8.0}, 2.0),
        ("share", {"since": "2024-01-04", "above": 5.0}, 3 / 4),
        ("mean", {"since": "2024-01-05"}, 8.0),
        ("rank", {}, 1.0),
        ("rank", {"of": "highest"}, 7.0),
        # Changes of a day: -.2, .5, -.25, -.33, 1.5, -.8.
        ("rank", {"rows": 1}, 1.0),
        ("fall", {"since": "2024-01-02", "to": "lowest"}, 3 / 15 - 1),
    ],
)
def test_a_count_by_hand(name: str, options: dict[str, Any], expected: float) -> None:
    found = ask(name, bars([10, 8, 12, 9, 6, 15, 3]), "2024-01-07", **options)
    assert found.value == pytest.approx(expected, rel=1e-12)


def test_streaks_ranks_and_what_came_first_by_hand() -> None:
    coin = bars([10, 8, 12, 9, 6, 5, 7])
    assert ask("streak", coin, "2024-01-06").value == 3.0  # 12, 9, 6, 5
    history = ask("streak", coin, "2024-01-06").history
    assert history is not None
    assert history.tolist() == [1, 0, 1, 2, 3, 0]
    found = ask("rank", coin, "2024-01-05", rows=1)
    assert (found.value, found.note) == (1.0, "of 4 rows")
    assert ask("rank", coin, "2024-01-04", rows=1).value == 1.0  # -25 % is under the -20 % before
    assert ask("rank", coin, "2024-01-07", since="2024-01-04", of="highest").value == 2.0
    # Averages of two: 9, 10, 10.5, 7.5, 5.5, 6; from the 3rd on the 4th closes below first.
    first = ask("first_below_average", coin, "2024-01-03", length=2, average="sma")
    assert first.value == day("2024-01-04")
    with pytest.raises(NotStoredError, match="no 2 rows by 2024-01-01"):
        ask("first_below_average", coin, "2024-01-01", length=2, average="sma")
    with pytest.raises(InputError, match="below or above a level; got neither"):
        ask("count", coin, "2024-01-07", since="2024-01-02")


def test_a_fall_says_from_where_to_where() -> None:
    coin = bars([9, 10, 6, 8], low=[8, 9, 4, 7], high=[9, 12, 9, 9])
    by_row = ask("fall", coin, "2024-01-04", since="2024-01-01")
    assert by_row.value == pytest.approx(7 / 12 - 1)
    assert by_row.note == (
        "from 12 on 2024-01-02 to the low of 2024-01-04, 7 (-41.7%); "
        "to the lowest since, 4 on 2024-01-03 (-66.7%)"
    )
    lowest = ask("fall", coin, "2024-01-04", since="2024-01-01", to="lowest")
    assert lowest.value == pytest.approx(4 / 12 - 1)
    named = ask("fall", coin, "2024-01-04", since="2024-01-01", price=6.0)
    assert named.note == "from 12 on 2024-01-02 to the 6 of the claim"


def test_a_tie_of_the_same_spell_is_not_an_earlier_low() -> None:
    mood = bars([9, 20, 11, 9, 9, 9])
    assert ask("lowest_since", mood, "2024-01-06").value == day("2024-01-01")
    assert ask("lowest_since", mood, "2024-01-04").value == day("2024-01-01")
    assert ask("highest_since", bars([3, 1, 3, 3]), "2024-01-04").value == day("2024-01-01")
    # The claim's own level is not the row's: days that stood there count.
    assert ask("lowest_since", mood, "2024-01-06", level=9.0).value == day("2024-01-05")


def test_the_highest_ratio_is_of_common_days() -> None:
    gold = bars([2, 1, 4, 2])
    found = vocabulary()["highest_ratio"].compute(
        bars([10, 8, 12, 9]),
        day("2024-01-04"),
        beside=gold,
        since=day("2024-01-02"),
        column="close",
        over="close",
    )
    assert (found.value, found.note) == (8.0, "on 2024-01-02")
