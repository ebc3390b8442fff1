"""Pages of runs that have little to show: each says what it cannot, and none shows a hole."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.deleveraging.period import Period
from delever.report.answer_words import answer_sentence
from delever.report.format import number
from delever.report.pages.answer_tables import answer_tiles, ledger
from delever.report.pages.short_tables import run_in_short
from delever.stats.metrics import METRICS
from delever.study.kept.result import Result

NOTHING = re.compile(r"\b(NaN|nan|NaT|None(?! of| are)|inf|Infinity|undefined)\b|\+n/a")


def bars(days: int, fall: float = 0.0) -> pd.DataFrame:
    """A seeded walk; on the second day the price falls at once by a fraction."""
    steps = np.random.default_rng(1).normal(0.0, 0.03, days)
    steps[1] += np.log(1.0 - fall)
    index = pd.date_range("2020-01-01", periods=days, tz="UTC", name="open_time")
    close = pd.Series(100.0 * np.exp(np.cumsum(steps)), index)
    found = pd.DataFrame({"open": close.shift(fill_value=100.0), "close": close, "volume": 1.0})
    return found.assign(high=found.max(axis=1), low=found[["open", "close"]].min(axis=1))


def run(days: int = 300, held: float = 1.0, periods: int = 1, **more: Any) -> dl.Run:
    market = dl.market(bars(days), timeframe="1d", symbol="BTC/USDT:USDT")
    drawn = tuple(
        Period(id=f"p{month}", title=f"Period {month}", start=start, trough=start, end=end)
        for month in range(3, 3 + periods)
        for start in [pd.Timestamp(2020, month, 10, tz="UTC")]
        for end in [pd.Timestamp(2020, month, 20, tz="UTC")]
    )
    exposure = pd.Series(held, market.index)
    return dl.backtest(market, exposure, periods=drawn, **more)


def ruined() -> dl.Run:
    market = dl.market(bars(60, fall=0.9), timeframe="1d", symbol="BTC/USDT:USDT")
    account = dl.Account(
        contract="BTC/USDT:USDT",
        rules="generic",
        leverage=10,
        exposure=5,
        margin_mode="cross",
        funding_policy="missing-is-zero",
    )
    day = pd.Timestamp("2020-02-01", tz="UTC")
    period = Period(id="p", title="A period", start=day, trough=day, end=day + pd.Timedelta("9D"))
    return dl.backtest(market, "buy_and_hold", account=account, periods=[period])


def test_a_ruined_run_without_periods_says_both_and_no_more(workspace: object) -> None:
    found = ruined().answer
    without = replace(found.protection, periods=found.protection.periods.iloc[:0])
    said = answer_sentence(replace(found, protection=without))
    assert said == (
        "No deleveraging period lies in this run. It was liquidated once. The account was ruined "
        "on 2020-01-02: what it saved before does not count."
    )


def twelve() -> Result:
    runs = [run(periods=2, held=held / 12, name=f"run {held}") for held in range(1, 13)]
    return dl.compare(*runs)


CASES: dict[str, tuple[Callable[[], Result], str]] = {
    "no trade": (lambda: run(held=0.0), "No bar had a position."),
    "ruined on the first day": (ruined, "everything: the account was ruined"),
    "three bars": (lambda: run(days=3, periods=0), "No deleveraging period lies in this run"),
    "no period": (lambda: run(days=50, periods=0), "No deleveraging period lies in this run"),
    "one period": (lambda: run(), "Too few periods"),
    "twelve runs": (twelve, "run 12"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_said_is_said(
    workspace: object, case: str, read: Callable[[str], Any]
) -> None:
    make, words = CASES[case]
    text = read(make().html()).text.replace("NaN if none", "")  # a definition
    assert words in text
    said = [text[max(0, found.start() - 40) : found.end() + 20] for found in NOTHING.finditer(text)]
    assert said == []


def test_ten_thousand_combinations_make_a_page(
    workspace: object, read: Callable[[str], Any]
) -> None:
    market = dl.market(bars(200), timeframe="1d", symbol="BTC/USDT")
    fees = [round(0.0001 * step, 4) for step in range(50)]
    swept = dl.sweep(
        market,
        "support_breach",
        {"weeks": range(2, 22), "costs.taker_fee": fees, "costs.slippage": fees[:10]},
    )
    page = swept.html()
    assert "10,000 combinations" in page
    assert len(page) < 1.6e6
    assert [found.group() for found in NOTHING.finditer(read(page).text)] == []


YEARLY = {each.label for each in METRICS if each.yearly}
# As a page writes a yearly figure: its label, or words that say so.
SAID = re.compile(r"a year|per year|Sharpe|Growth outside|Break-even")


def unmarked(seen: Any) -> list[str]:
    """Figures of tables and first-screen cards that are yearly and bear no mark."""
    found = []
    for name, rows in seen.tables.items():
        head = [cell.text for row in rows for cell in row if cell.tag == "th"]
        found += [text for text in head if SAID.search(text) and not text.endswith("*")]
        for row in rows:
            label, cells = row[0].text, [cell.text for cell in row[1:]]
            if label.partition(",")[0] in YEARLY and name in ("metrics", "scopes-joined"):
                found += [f"{label}: {text}" for text in cells if text not in ("", "n/a")
                          and not text.endswith("*")]  # fmt: skip
            elif row[0].tag == "td" and SAID.search(label) and not label.endswith("*"):
                found.append(label)
    return found


def test_no_yearly_figure_of_less_than_a_year_without_a_mark(
    workspace: object, read: Callable[[str], Any]
) -> None:
    short, longer = run(days=300), run(days=367)
    page = read(short.html())
    names = ("metrics", "scopes-joined", "statistics", "what-if-table")
    assert set(names) <= set(page.tables)
    page.tables = {name: page.tables[name] for name in names}
    assert len(YEARLY) == 8
    assert unmarked(page) == []
    assert page.text.count("Of less than a year: a speed, not a forecast.") == 3
    assert short.notes[1].startswith("less than a year, 299 days: yearly figures, marked *, are")
    tiles = {each.label: each.value for each in answer_tiles(short.answer, short.evaluation, "b")}
    assert tiles["Growth outside, against it"].endswith("a year *")
    assert tiles["Sharpe ratio"].endswith(" *")
    said = ledger(short.answer)
    assert [name for name, text in said.items() if text.endswith(" *")] == [
        "Premium a year", "Break-even frequency",
    ]  # fmt: skip
    rows = run_in_short(short.answer, short.evaluation, "b").texts
    assert [row[0] for row in rows[:3]] == [
        "growth a year *", "Sharpe ratio *", "growth outside, against it *",
    ]  # fmt: skip
    both = dl.compare(short, run(days=300, held=0.5, name="half"))
    assert both.notes[0] == short.notes[1]
    assert both.notes.count(short.notes[1]) == 1
    compared = read(both.html())
    assert "Growth a year *" in compared.text
    assert "Growth outside *" in compared.text
    [rates] = [compared.column("summary", place) for place in (2,)]
    assert all(text.endswith(" *") for text in rates)
    assert " (of 0.82 years)" in dl.uncertainty(short).headline
    whole = read(longer.html())
    assert not any(note.startswith("less than") for note in longer.notes)
    assert not any("*" in row[1].text for row in whole.tables["metrics"] if len(row) > 1)


def test_the_sharpe_ratio_beside_an_interval_is_of_days_as_the_interval_is() -> None:
    daily = bars(1_500)
    hourly = daily.set_index(pd.date_range("2020-01-01", periods=1_500, freq="h", tz="UTC"))
    market = dl.market(hourly, timeframe="1h", symbol="BTC/USDT:USDT")
    made = dl.backtest(market, pd.Series(1.0, market.index))
    own, held = (made.answer.estimates[name] for name in ("sharpe_ratio", "benchmark_sharpe_ratio"))
    row = run_in_short(made.answer, made.evaluation, "b").texts[1]
    assert row[0].startswith("Sharpe ratio")
    assert (row[1], row[3]) == (number(own.value), number(held.value))
    assert row[1] != number(float(made.metrics.at["sharpe_ratio", "whole"]))
