from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from delever.deleveraging.period import Period, PeriodFigure
from delever.report import figures
from delever.report.answer_words import answer_sentence
from delever.report.figures import library
from delever.report.pages.tearsheet import render
from delever.research.evaluation import Evaluation
from delever.research.protection import protection
from delever.study.runs.answering import answer_over

MANIFEST: dict[str, Any] = {
    "run_id": "0123456789ab",
    "strategy": {"name": "in_and_out", "sha256": "a" * 64},
    "benchmark": {"name": "buy_and_hold", "sha256": "b" * 64},
    "params": {"every": 20},
    "data": {"reference": "sample/ohlcv/BTC/USD/1d", "sha256": "c" * 64, "notes": []},
    "warmup": None,
}
NOTES = ["close-only: intraday extremes unseen"]


@pytest.fixture(scope="module")
def page(evaluation: Evaluation) -> str:
    return render(evaluation, answer_over(evaluation), manifest=MANIFEST, notes=NOTES)


@pytest.fixture(scope="module")
def seen(page: str, read: Callable[[str], Any]) -> Any:
    return read(page)


def test_the_page_is_one_nested_document_with_plotly_once(page: str, seen: Any) -> None:
    assert page.startswith("<!doctype html>")
    assert page.count(library()) == 1
    assert [len(seen.all(tag)) for tag in ("html", "head", "body", "main", "h1")] == [1] * 5
    ids = [e.attributes["id"] for e in seen.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    targets = [a.attributes["href"] for a in seen.all("nav") + seen.all("a")[:9] if a.tag == "a"]
    assert {target.removeprefix("#") for target in targets} <= set(ids)


def test_the_page_loads_nothing(page: str, seen: Any) -> None:
    policy = next(m for m in seen.all("meta") if "http-equiv" in m.attributes)
    assert policy.attributes["http-equiv"] == "Content-Security-Policy"
    assert policy.attributes["content"].startswith("default-src 'none';")
    assert "http" not in policy.attributes["content"]
    for tag in ("link", "img", "iframe", "object", "embed", "base", "form"):
        assert not seen.all(tag)
    assert not any("src" in element.attributes for element in seen.elements)
    own = page.replace(library(), "")
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(|sendBeacon", own)
    outward = [
        a.attributes["href"] for a in seen.all("a") if not a.attributes["href"].startswith("#")
    ]
    assert outward
    assert all(re.match(r"https?://", target) for target in outward)


def test_the_same_input_gives_the_same_bytes(page: str, evaluation: Evaluation) -> None:
    assert render(evaluation, answer_over(evaluation), manifest=MANIFEST, notes=NOTES) == page


def test_the_sections_stand_in_the_order_of_reading(seen: Any) -> None:
    headings = [h.text for h in seen.all("h2")]
    assert headings == [
        "Read this first",
        "Growth, drawdown and exposure",
        "Price and trades",
        "Deleveraging periods",
        "The same on periods detected as they began",
        "The account of the insurance",
        "Is it luck?",
        "How sure",
        "Phase by phase",
        "Period by period",
        "Key figures",
        "Year by year",
        "Rolling measures",
        "Worst bars",
        "Monthly returns",
        "Returns of bars, inside and outside the periods",
        "Deepest drawdowns",
        "What made the result",
        "Trades",
        "From the first to the final equity",
        "What is not modelled",
        "Inside and outside, each joined into one path",
        "Reported figures of the periods",
        "Definitions of the metrics",
        "Provenance",
    ]
    assert NOTES[0] in seen.text
    assert "in and out" in seen.text
    assert "every 20" in seen.text


def row_of(seen: Any, table: str, label: str) -> list[Any]:
    return next(row for row in seen.tables[table] if row[0].text == label)


@pytest.mark.parametrize(
    ("label", "name", "form"),
    [
        ("Total return", "total_return", "{:.1%}"),
        ("Max drawdown", "max_drawdown", "{:.1%}"),
        ("Sharpe ratio", "sharpe_ratio", "{:.2f}"),
        ("Closed trades", "trades", "{:.0f}"),
        ("Bars", "bars", "{:.0f}"),
        ("Worst bar", "worst_bar", "{:.1%}"),
    ],
)
def test_key_figures_are_the_metrics(
    seen: Any, evaluation: Evaluation, label: str, name: str, form: str
) -> None:
    for table, scopes in (("metrics", ["whole"]), ("scopes-joined", ["inside", "outside"])):
        mark = " *" if name == "sharpe_ratio" and scopes[0] == "inside" else ""  # of some weeks
        expected = [
            form.format(frame.loc[name, scope]).replace("-", "−")
            + (mark if scope == "inside" else "")
            for scope in scopes
            for frame in (evaluation.metrics, evaluation.benchmark_metrics)
        ]
        cells = row_of(seen, table, label)[1:]
        assert [cell.text for cell in cells][: len(expected)] == expected


def test_the_better_of_two_is_set_off(seen: Any, evaluation: Evaluation) -> None:
    own = evaluation.metrics.loc["volatility", "whole"]
    other = evaluation.benchmark_metrics.loc["volatility", "whole"]
    assert own < other
    marked = ["best" in cell.attributes["class"] for cell in row_of(seen, "metrics", "Volatility")]
    assert marked[1:3] == [True, False]


def test_every_metric_has_a_row_and_a_definition(seen: Any, evaluation: Evaluation) -> None:
    rows = {*seen.column("metrics", 0), *seen.column("scopes-joined", 0)}
    assert len(rows) == len(evaluation.metrics)
    assert len(seen.all("dt")) >= len(evaluation.metrics)


def test_the_periods_are_an_account_of_insurance(seen: Any, evaluation: Evaluation) -> None:
    split = protection(evaluation.backtest, evaluation.benchmark, evaluation.periods)
    rows = [row for row in seen.tables["periods"] if row[0].tag == "td"]
    for row, (_, expected) in zip(rows, split.periods.iterrows(), strict=True):
        texts = [cell.text.replace("−", "-") for cell in row[1:4]]
        saved = f"{100 * expected['points_saved']:+.1f}".replace("+0.0", "0.0")
        assert texts == [
            f"{expected['benchmark_return']:.1%}",
            f"{expected['strategy_return']:.1%}".replace("-0.0%", "0.0%"),
            saved.replace("-0.0", "0.0"),
        ]
        assert row[-1].text == expected["outcome"]
    assert "2020-04-10 to 2020-04-23" in seen.text  # the last day inside, not the exclusive end
    assert "Longs were closed by force." in seen.text


def test_phases_show_both_returns(seen: Any, evaluation: Evaluation) -> None:
    rows = [row for row in seen.tables["phases"] if row[0].tag == "td"]
    phases = ["build_up", "cascade", "washout", "recovery"]
    held = [phase for phase in phases if evaluation.metrics.loc["bars", phase]]
    assert len(rows) >= 2
    for row, scope in zip(rows, held, strict=True):
        own = evaluation.metrics[scope]
        other = evaluation.benchmark_metrics[scope]
        expected = [
            own["total_return"],
            other["total_return"],
            own["max_drawdown"],
            other["max_drawdown"],
            own["exposure"],
        ]
        texts = [cell.text.replace("−", "-") for cell in row[1:]]
        assert texts == [f"{number:.1%}".replace("-0.0%", "0.0%") for number in expected]


def test_trades_are_all_there_and_sort_by_their_numbers(seen: Any, evaluation: Evaluation) -> None:
    trades = evaluation.backtest.trades
    table = next(t for t in seen.all("table") if t.attributes["id"] == "trades")
    assert table.attributes["data-limit"] == "25"
    rows = [row for row in seen.tables["trades"] if row[0].tag == "td"]
    assert len(rows) == len(trades) > 5
    assert [float(row[6].attributes["data-order"]) for row in rows] == list(trades["return"])
    dates = [f"{t:%Y-%m-%d}" for t in trades["entry_time"]]
    assert [row[0].text.strip() for row in rows] == dates


def test_the_attribution_leads_from_the_first_to_the_final_equity(
    seen: Any, evaluation: Evaluation
) -> None:
    amounts = [cell.text for cell in seen.tables["attribution"][1]]
    assert amounts == ["Starting equity", "10,000", "10,000"]
    parts = [float(row[1].attributes["data-order"]) for row in seen.tables["attribution"][1:]]
    assert sum(parts[:-1]) == pytest.approx(parts[-1], rel=1e-12)
    assert parts[-1] == evaluation.backtest.ledger["equity"].iloc[-1]


def test_reported_figures_keep_their_source_as_a_link(seen: Any) -> None:
    assert seen.column("figures", 2) == ["1.5 B USD"]
    links = [a.attributes["href"] for a in seen.all("a")]
    assert "https://example.org/fall?a=1" in links


def test_provenance_shows_the_manifest(seen: Any) -> None:
    facts = dict(
        zip([e.text for e in seen.all("dt")], [e.text for e in seen.all("dd")], strict=True)
    )
    assert facts["run_id"] == "0123456789ab"
    assert facts["data.sha256"] == "c" * 64
    assert facts["strategy.sha256"] == "a" * 64
    assert facts["params.every"] == "20"
    assert facts["warmup"] == "none"
    assert "data.notes" not in facts


def test_hostile_text_stays_text(
    evaluation: Evaluation, page: str, read: Callable[[str], Any]
) -> None:
    bad = "<script>alert(1)</script>"
    worse = '"><img src=x onerror=alert(1)>'
    period = replace(
        evaluation.periods[0],
        title=bad,
        cause=worse,
        figures=(
            PeriodFigure(
                name=bad, value=1.0, unit=worse, definition=bad, source="javascript:alert(1)"
            ),
            PeriodFigure(
                name="b", value=1.0, unit="USD", definition="", source='https://x.org/"onclick="a'
            ),
        ),
    )
    hostile = replace(evaluation, name=bad, periods=(period, *evaluation.periods[1:]))
    manifest = MANIFEST | {"params": {bad: worse}, "benchmark": {"name": worse}, bad: worse}
    document = read(render(hostile, answer_over(hostile), manifest=manifest, notes=[bad, worse]))
    assert not document.all("img")
    assert len(document.all("script")) == len(read(page).all("script"))
    assert not any(name.startswith("on") for e in document.elements for name in e.attributes)
    assert not any(a.attributes["href"].startswith("javascript") for a in document.all("a"))
    assert document.all("h1")[0].text == bad
    assert worse in document.text


def test_undefined_numbers_read_as_such(evaluation: Evaluation, read: Callable[[str], Any]) -> None:
    metrics = evaluation.metrics.copy()
    metrics.loc["sharpe_ratio", "whole"] = math.nan
    document = read(
        render(replace(evaluation, metrics=metrics), answer_over(evaluation), manifest={})
    )
    cell = row_of(document, "metrics", "Sharpe ratio")[1]
    assert cell.text == "n/a"
    assert "quiet" in cell.attributes["class"]
    assert "nan" not in {td.text.lower() for td in document.all("td")}


@pytest.mark.parametrize("bars", [1, 2])
def test_the_shortest_runs_have_a_page(
    bars: int,
    build: Callable[..., Evaluation],
    walk: Callable[..., pd.DataFrame],
    read: Callable[[str], Any],
) -> None:
    run = build(walk(bars), 1.0)
    document = read(render(run, answer_over(run), manifest=MANIFEST, notes=[]))
    assert "No deleveraging period of the catalogue lies in this run" in document.text
    assert "nothing to protect from" in document.text
    assert "periods" not in document.tables
    assert not [s for s in document.all("section") if s.attributes.get("class") == "notes"]


def test_a_run_that_never_trades_says_so(
    build: Callable[..., Evaluation],
    walk: Callable[..., pd.DataFrame],
    read: Callable[[str], Any],
) -> None:
    run = build(walk(300), 0.0)
    document = read(render(run, answer_over(run), manifest=MANIFEST))
    assert "The strategy never traded." in document.text
    assert "Equity never fell below an earlier peak." in document.text
    assert answer_sentence(answer_over(run)).startswith("Helped in 2 of 2 deleveraging periods")


def test_ruin_is_in_the_headline(
    build: Callable[..., Evaluation],
    walk: Callable[..., pd.DataFrame],
    read: Callable[[str], Any],
) -> None:
    bars = walk(300)
    bars.loc[bars.index[150] :, ["open", "high", "low", "close"]] *= 5
    run = build(bars, -1.0)
    assert run.backtest.ledger["equity"].iloc[-1] == 0
    document = read(render(run, answer_over(run), manifest=MANIFEST))
    assert f"The account was ruined on {bars.index[150]:%Y-%m-%d}" in document.text
    assert "was ruined before 1" in document.text


def test_the_sentence_is_made_of_the_answer(evaluation: Evaluation) -> None:
    found = answer_over(evaluation)
    split = found.protection
    assert found.causal_saved is not None
    assert found.disagrees
    assert answer_sentence(found) == (
        f"Helped in {split.count('helped')} of 2 deleveraging periods, hurt in "
        f"{split.count('hurt')}, did nothing in {split.count('nothing')}: "
        f"{100 * found.saved.mean:+.1f} points a period, for "
        f"{-split.relative_growth:.1%} a year of growth outside. Too few periods to tell skill "
        "from luck: at least 6 are needed. On periods detected as they began it is another story: "
        f"{100 * found.causal_saved.mean:+.1f} points a period."
    )


def test_less_than_a_year_is_marked(
    build: Callable[..., Evaluation],
    walk: Callable[..., pd.DataFrame],
    read: Callable[[str], Any],
) -> None:
    run = build(walk(364), 1.0, ())
    document = read(render(run, answer_over(run), manifest=MANIFEST))
    assert row_of(document, "metrics", "CAGR")[1].text.endswith("*")
    assert not row_of(document, "metrics", "Total return")[1].text.endswith("*")
    assert "a speed, not a forecast" in document.text


def test_long_runs_say_that_the_curves_are_thinned(
    build: Callable[..., Evaluation], walk: Callable[..., pd.DataFrame]
) -> None:
    run = build(walk(9_000), 1.0, ()).backtest
    chart = figures.history({"own": run}, (), benchmark=None)
    assert "of 9,001 points; every stretch keeps its extremes" in chart.caption


def test_a_period_that_is_cut_says_so(
    build: Callable[..., Evaluation],
    walk: Callable[..., pd.DataFrame],
    read: Callable[[str], Any],
) -> None:
    bars = walk(300).iloc[105:]
    run = build(bars, 1.0)
    document = read(render(run, answer_over(run), manifest={}))
    assert document.text.count("The run covers it only in part.") == 1


def test_all_of_the_run_inside_a_period(
    build: Callable[..., Evaluation], walk: Callable[..., pd.DataFrame]
) -> None:
    bars = walk(30)
    whole = Period(
        id="all", title="All", start=bars.index[0], trough=bars.index[5],
        end=bars.index[-1] + pd.Timedelta(days=1),
    )  # fmt: skip
    run = build(bars, 1.0, (whole,))
    assert np.isnan(run.metrics.loc["total_return", "outside"])
    assert "at no cost in growth outside" in answer_sentence(answer_over(run))
    assert render(run, answer_over(run), manifest={})
