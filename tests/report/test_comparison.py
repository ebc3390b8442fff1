from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError
from delever.report.figures import library
from delever.report.figures.look import lines
from delever.report.format import three_digits
from delever.report.pages.comparison import render, summary_table
from delever.research.differences import differences
from delever.research.evaluation import Evaluation, windowed
from delever.study.runs.answering import answer_over


@pytest.fixture(scope="module")
def runs(
    build: Callable[..., Evaluation],
    walk: Callable[..., pd.DataFrame],
    switch: Callable[..., pd.Series],
) -> dict[str, Evaluation]:
    bars = walk()
    return {
        "fast": build(bars, switch(bars, 7)),
        "slow": build(bars, switch(bars, 60)),
        "<b>": build(bars, 0.5),
    }


@pytest.fixture(scope="module")
def page(runs: dict[str, Evaluation]) -> str:
    return render(
        runs,
        span=runs["fast"].span,
        parameters={"fast": {"every": 7}, "slow": {"every": 60, "soft": True}, "<b>": {}},
        notes=["the runs pay <i>different</i> costs"],
    )


@pytest.fixture(scope="module")
def seen(page: str, read: Callable[[str], Any]) -> Any:
    return read(page)


def test_the_page_nests_escapes_and_loads_nothing(page: str, seen: Any) -> None:
    assert page.count(library()) == 1
    assert not seen.all("b")
    assert not seen.all("i")
    assert not any("src" in element.attributes for element in seen.elements)
    assert not [a for a in seen.all("a") if not a.attributes["href"].startswith("#")]
    assert "the runs pay <i>different</i> costs" in seen.text
    assert "2020-01-01 to 2021-05-15 UTC" in seen.text


def test_the_same_input_gives_the_same_bytes(page: str, runs: dict[str, Evaluation]) -> None:
    again = render(
        runs,
        span=runs["fast"].span,
        parameters={"fast": {"every": 7}, "slow": {"every": 60, "soft": True}, "<b>": {}},
        notes=["the runs pay <i>different</i> costs"],
    )
    assert again == page


def test_every_run_and_one_benchmark_stand_side_by_side(
    seen: Any, runs: dict[str, Evaluation]
) -> None:
    for scope in ("whole", "inside", "outside"):
        head = [cell.text for cell in seen.tables[f"metrics-{scope}"][0]]
        assert head == ["", "fast", "slow", "<b>", "buy and hold"]
        row = next(r for r in seen.tables[f"metrics-{scope}"] if r[0].text == "Total return")
        frames = [run.metrics for run in runs.values()] + [runs["fast"].benchmark_metrics]
        values = [frame.loc["total_return", scope] for frame in frames]
        assert [c.text.replace("−", "-") for c in row[1:]] == [f"{v:.1%}" for v in values]
        marked = [cell.text for cell in row[1:] if "best" in cell.attributes["class"]]
        assert marked == [f"{max(values):.1%}".replace("-", "−")]


def test_each_scope_has_the_metrics_meant_for_it(seen: Any) -> None:
    names = {s: set(seen.column(f"metrics-{s}", 0)) for s in ("whole", "inside", "outside")}
    assert names["inside"] - names["whole"] == {"Loss avoided"}
    assert names["outside"] - names["whole"] == {"Cost of protection"}


def test_periods_and_parameters_of_each_run(seen: Any, runs: dict[str, Evaluation]) -> None:
    fall = next(row for row in seen.tables["periods"] if row[0].text.startswith("The fall"))
    expected = [run.metrics.loc["total_return", "2020-04-fall"] for run in runs.values()]
    assert [c.text.replace("−", "-") for c in fall[1:4]] == [f"{v:.1%}" for v in expected]
    assert [[c.text for c in row] for row in seen.tables["parameters"][1:]] == [
        ["every", "7", "60", "-"],
        ["soft", "-", "True", "-"],
    ]


def test_the_printed_table_has_a_row_per_run(runs: dict[str, Evaluation]) -> None:
    table = summary_table(runs)
    assert table.header[:3] == ("Run", "Return", "CAGR")
    assert [row[0] for row in table.texts] == ["fast", "slow", "<b>", "buy and hold"]
    own = runs["slow"].metrics
    assert table.texts[1][1:5] == (
        f"{own.loc['total_return', 'whole']:.1%}",
        f"{own.loc['cagr', 'whole']:.1%}",
        f"{own.loc['max_drawdown', 'whole']:.1%}",
        f"{own.loc['sharpe_ratio', 'whole']:.2f}",
    )
    assert all(text.isascii() for row in table.texts for text in row)


def test_a_run_that_is_the_benchmark_stands_for_it(
    build: Callable[..., Evaluation], walk: Callable[..., pd.DataFrame]
) -> None:
    bars = walk(200)
    runs = {"hold": build(bars, 1.0), "half": build(bars, 0.5)}
    assert [row[0] for row in summary_table(runs).texts] == ["hold", "half"]


def test_benchmarks_that_differ_by_the_cost_of_entry_are_one(
    build: Callable[..., Evaluation],
    walk: Callable[..., pd.DataFrame],
    switch: Callable[..., pd.Series],
) -> None:
    bars = walk(300)
    start, end = bars.index[60], bars.index[-1] + pd.Timedelta(days=1)
    longer = windowed(build(bars, switch(bars)), start, end)
    shorter = build(bars.iloc[60:], switch(bars).iloc[60:])
    paid = shorter.benchmark_metrics.loc["total_return", "whole"]
    carried = longer.benchmark_metrics.loc["total_return", "whole"]
    assert (1 + carried) * (1 - 0.0015) == pytest.approx(1 + paid, rel=1e-5)
    runs = {"longer": longer, "shorter": shorter}
    assert [row[0] for row in summary_table(runs).texts] == ["longer", "shorter", "buy and hold"]
    later = {"hold": build(bars.iloc[60:], 1.0), "longer": longer}
    assert [row[0] for row in summary_table(later).texts] == ["hold", "longer"]


def test_different_benchmarks_are_kept_apart(
    build: Callable[..., Evaluation],
    walk: Callable[..., pd.DataFrame],
    read: Callable[[str], Any],
) -> None:
    one, two = walk(200, 1), walk(200, 2)
    runs = {"a": build(one, 0.5), "b": build(two, 0.5), "c": build(one, 0.0)}
    names = [row[0] for row in summary_table(runs, benchmark="index").texts]
    assert names == ["a", "b", "c", "index (a)", "index (b)"]
    assert read(render(runs, span=runs["a"].span, benchmark="index")).all("h1")[0].text == "a, b, c"


def test_a_run_named_like_the_benchmark_hides_nothing(
    build: Callable[..., Evaluation], walk: Callable[..., pd.DataFrame]
) -> None:
    run = {"buy and hold": build(walk(200), 0.5)}
    names = [row[0] for row in summary_table(run).texts]
    assert names == ["buy and hold", "buy and hold (benchmark)"]


def test_no_periods_and_one_bar(
    build: Callable[..., Evaluation],
    walk: Callable[..., pd.DataFrame],
    read: Callable[[str], Any],
) -> None:
    run = build(walk(1), 0.5, ())
    document = read(render({"one": run}, span=run.span))
    assert "No deleveraging period of the catalogue lies in this span." in document.text
    assert "None of the runs takes parameters." in document.text


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(InputError, match="at least one run"):
        summary_table({})


def test_differences_and_their_tests_stand_on_the_page(
    runs: dict[str, Evaluation], read: Callable[[str], Any]
) -> None:
    found = differences(runs)
    seen = read(render(runs, span=runs["fast"].span, found=found))
    table = seen.tables["against-benchmark"]
    row = next(row for row in table if row[0].text == "slow")
    grown = found.benchmark["growth"].loc["slow"]
    assert row[1].text.replace("−", "-") == f"{np.expm1(grown['value']):.1%}"
    assert row[3].text == f"{grown['p_value']:.3f}"
    assert row[4].text == f"{grown['p_stepdown']:.3f}"
    assert row[9].text == f"{found.best['slow']:.3f}"
    pairs = [row[0].text for row in seen.tables["pairs-of-runs"]]
    assert pairs[-3:] == ["fast less slow", "fast less <b>", "slow less <b>"]
    assert seen.tables["correlations"][1][1].text == "1.00"
    assert "nan" not in seen.text.lower().split()


def test_what_cannot_be_tested_says_why(
    build: Callable[..., Evaluation],
    walk: Callable[..., pd.DataFrame],
    read: Callable[[str], Any],
) -> None:
    bars = walk(200)
    held = {"hold": build(bars, 1.0, ()), "twin": build(bars, 1.0, ())}
    seen = read(render(held, span=held["hold"].span, found=differences(held)))
    cells = [cell for row in seen.tables["against-benchmark"][2:] for cell in row[1:9]]
    assert {cell.text for cell in cells} == {"n/a"}
    assert {cell.attributes["title"] for cell in cells} == {"the bars do not vary"}


def test_what_each_run_saved_stands_on_the_page(
    runs: dict[str, Evaluation], read: Callable[[str], Any]
) -> None:
    answers = {name: answer_over(each) for name, each in runs.items()}
    seen = read(render(runs, span=runs["fast"].span, answers=answers, headline="<i>In short.</i>"))
    assert "<i>In short.</i>" in seen.text
    one = answers["slow"]
    row = next(row for row in seen.tables["protection"] if row[0].text == "slow")
    split = one.protection
    outcomes = [split.count(word) for word in ("helped", "hurt", "nothing")]
    assert [int(cell.text) for cell in row[1:4]] == outcomes
    assert sum(outcomes) == len(split.periods)
    assert float(row[4].text.replace("−", "-")) == pytest.approx(100 * one.saved.mean, abs=0.05)
    assert row[6].text == "n/a"
    assert "cannot reject" in row[6].attributes["title"]
    saved = next(r for r in seen.tables["points-saved"] if r[0].text.startswith("The fall"))
    for cell, each in zip(saved[1:], answers.values(), strict=True):
        expected = 100 * each.protection.periods.loc["2020-04-fall", "points_saved"]
        assert float(cell.text.replace("−", "-")) == pytest.approx(expected, abs=0.05)
    assert seen.tables["points-saved"][-1][0].text == "Mean of the periods"


def test_without_periods_no_run_saved_anything(
    build: Callable[..., Evaluation],
    walk: Callable[..., pd.DataFrame],
    read: Callable[[str], Any],
) -> None:
    bars = walk(90)
    runs = {"hold": build(bars, 1.0, ()), "half": build(bars, 0.5, ())}
    answers = {name: answer_over(each) for name, each in runs.items()}
    seen = read(render(runs, span=runs["hold"].span, answers=answers, found=differences(runs)))
    assert "No deleveraging period lies in this span." in seen.text
    assert "nan" not in seen.text.lower().split()


def test_eighteen_runs_are_drawn_in_eighteen_ways():
    drawn = lines([str(place) for place in range(18)], None).values()
    assert len({(line["color"], line["dash"]) for line in drawn}) == 18


def test_no_p_value_is_written_as_none():
    assert [three_digits(p) for p in (0.0, 0.00049, 0.0005, 0.25)] == [
        *("<0.001", "<0.001", "0.001", "0.250")
    ]
