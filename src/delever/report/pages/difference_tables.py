"""Tables of a comparison: what each run protected from, how the runs differ, and how surely."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from delever.report.format import (
    NOT_AVAILABLE,
    growth,
    number,
    points,
    speed,
    three_digits,
    whole,
)
from delever.report.table import (
    Cell,
    Column,
    Table,
    fraction_cell,
    interval_cell,
    listed,
    mark_best,
    number_cell,
    numbers,
    points_cell,
    tabulate,
    texts,
)
from delever.research.answer import CONFIDENCE, Answer
from delever.research.differences import MEASURES, Differences, points_saved
from delever.stats.families import Measure


def protection_table(answers: Mapping[str, Answer]) -> Table:
    """Every run as an insurance: what it saved in periods, how surely, and what it cost outside."""
    days = [each.protection.days for each in answers.values()]
    outside = speed("Growth outside", days[0]) if days else "Growth outside"
    return tabulate(
        "protection",
        [
            {"run": label, "answer": each, "split": each.protection}
            for label, each in answers.items()
        ],
        (
            texts("Run", "run"),
            *(
                numbers(word.capitalize(), lambda row, word=word: row["split"].count(word), whole)
                for word in ("helped", "hurt", "nothing")
            ),
            numbers("Points saved", lambda row: row["answer"].saved.mean, points_cell, "a period"),
            texts("Interval", lambda row: _interval(row["answer"]), numeric=True),
            texts("p", lambda row: _sign_flip_p(row["answer"]), numeric=True),
            numbers(
                "Worst",
                lambda row: row["split"].periods["points_saved"].min(),
                points_cell,
                "period",
            ),
            numbers(outside, lambda row: row["split"].relative_growth, fraction_cell),
            numbers("Payout ratio", lambda row: row["split"].payout_ratio, number),
        ),
        caption="Helped, hurt, nothing: deleveraging periods. Points saved: return less the "
        f"benchmark's, mean of the periods, with its {CONFIDENCE:.0%} interval and the p-value of "
        "a sign-flip test of saving nothing, over periods: who is seldom in the market saves "
        "in every fall without skill. Growth outside: against the benchmark, a year. Payout "
        "ratio: payouts over premium, where one was paid.",
    )


def _interval(found: Answer) -> Cell:
    if found.saved.reason:
        return Cell(text=NOT_AVAILABLE, tone="quiet", title=found.saved.reason)
    return Cell(text=f"{points(found.saved.low)} to {points(found.saved.high)}")


def _sign_flip_p(found: Answer) -> Cell:
    if not found.saved.can_reject:
        why = f"{found.saved.differing} periods that differ from zero cannot reject"
        return Cell(text=NOT_AVAILABLE, tone="quiet", title=why)
    return number_cell(found.saved.p_value, three_digits)


def saved_table(answers: Mapping[str, Answer]) -> Table:
    """Points saved, a row per period and a column per run."""
    table = points_saved(answers)
    titles = {
        id_: row for each in answers.values() for id_, row in each.protection.periods.iterrows()
    }
    rows = []
    for id_, amounts in table.iterrows():
        about = titles[id_]
        name = Cell(text=str(about["title"]), note=f"{about['start']:%Y-%m-%d}")
        rows.append((name, *mark_best([_saved(amount) for amount in amounts], "higher")))
    if rows:
        means = [_saved(each.saved.mean) for each in answers.values()]
        rows.append((Cell(text="Mean of the periods"), *mark_best(means, "higher")))
    return listed(
        "points-saved",
        ("Period", *answers),
        rows,
        caption="Return of the run less its benchmark's, in points. The best is set off.",
        empty="No deleveraging period lies in this span.",
    )


def _saved(amount: float) -> Cell:
    return number_cell(float(amount), points_cell)


def against_table(found: Differences, benchmark: str) -> Table:
    """Every run less its benchmark: growth and Sharpe ratio, each with interval and tests."""
    rows = []
    by_run = {m: table.to_dict("index") for m, table in found.benchmark.items()}
    for label, best in found.best.items():
        cells = [cell for m in MEASURES for cell in _tested(by_run[m][label], m, "p_stepdown")]
        rows.append((Cell(text=str(label)), *cells, number_cell(float(best), three_digits)))
    return listed(
        "against-benchmark",
        (
            "Run",
            *_tested_columns(
                "p family", "allows for all runs of the table: Romano and Wolf's step-down"
            ),
            Column(
                label="May be best",
                title="p-value of the model confidence set: above 0.1 the run may be the one that "
                "grows most",
            ),
        ),
        rows,
        groups=(*_tested_groups(found.days), ("", 1)),
        caption=f"Each run less {benchmark}, a year; intervals at {found.confidence:.0%}. p: how "
        "often chance alone would show as large a difference. Of many runs some will seem to "
        "differ, which p family allows for. Growth is growth against it, a year.",
    )


def pairs_table(found: Differences) -> Table:
    """Every run less every later one."""
    rows = []
    by_pair = {m: table.to_dict("index") for m, table in found.pairs.items()}
    for pair in found.pairs["growth"].index.tolist():
        cells = [cell for m in MEASURES for cell in _tested(by_pair[m][pair], m, "p_holm")]
        rows.append((Cell(text=f"{pair[0]} less {pair[1]}"), *cells))
    allowed = "allows for all pairs of the table, by Holm's method"
    return listed(
        "pairs-of-runs",
        ("Runs", *_tested_columns("p Holm", allowed)),
        rows,
        groups=_tested_groups(found.days),
        limit=15,
        sortable=True,
        empty="There is one run.",
        caption="As above, for each pair.",
    )


def _tested(row: Mapping[Hashable, Any], measure: Measure, family: str) -> tuple[Cell, ...]:
    """A difference, its interval, its p-value and that of the family."""
    if row["reason"]:
        what = Cell(text=NOT_AVAILABLE, tone="quiet", title=str(row["reason"]))
        return what, what, what, what
    form = growth if measure == "growth" else number
    return (
        number_cell(float(row["value"]), form),
        interval_cell(float(row["low"]), float(row["high"]), form),
        number_cell(float(row["p_value"]), three_digits),
        number_cell(float(row[family]), three_digits),
    )


def _tested_columns(family: str, title: str) -> tuple[Column, ...]:
    tests = (
        Column(label="p", title="two-sided, of no difference"),
        Column(label=family, title=title),
    )
    return (Column(label="Difference"), Column(label="Interval"), *tests) * 2


def _tested_groups(days: float) -> tuple[tuple[str, int], ...]:
    measures = ("Growth a year", "Sharpe ratio a year")
    return ("", 1), *((speed(said, days), 4) for said in measures)


def correlation_table(found: Differences) -> Table:
    """Correlation of the runs' returns, day by day."""
    names = [str(name) for name in found.correlation.columns]
    return tabulate(
        "correlations",
        found.correlation.set_axis(names, axis=1).rename_axis("of"),
        (texts("", "of"), *(numbers(name, name, number) for name in names)),
        caption="Of returns on the same days; 1 for runs that move together.",
    )
