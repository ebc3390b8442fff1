"""The answer in a terminal: a row per period, and a few rows about whole runs."""

from __future__ import annotations

import math
from collections.abc import Mapping

from delever.report.format import growth, interval, number, percent, speed
from delever.report.table import Table, fraction_cell, numbers, points_cell, tabulate, texts
from delever.research.answer import CONFIDENCE, Answer
from delever.research.evaluation import Evaluation
from delever.stats.bootstrap import Estimate


def periods_in_short(found: Mapping[str, Answer], benchmark: str | None) -> Table:
    """One row per period: the return of a benchmark that all share, and the points saved."""
    alone = len(found) == 1
    first = next(iter(found.values())).protection.periods
    saved = {name: one.protection.periods["points_saved"] for name, one in found.items()}
    rows = [
        {"period": f"{row['start']:%Y-%m} {row['title']}" if alone else name, "id": name, **row}
        for name, row in first.to_dict("index").items()
    ]
    return tabulate(
        "periods-in-short",
        rows,
        (
            texts("period", "period"),
            *([numbers(benchmark, "benchmark_return", fraction_cell)] if benchmark else []),
            *(numbers(name, "strategy_return", fraction_cell) for name in found if alone),
            *(
                numbers(
                    "points saved" if alone else name,
                    lambda row, name=name: saved[name][row["id"]],
                    points_cell,
                )
                for name in found
            ),
        ),
        empty="No deleveraging period lies in this run.",
    )


_SHORT = {
    "cagr": "growth a year",
    "sharpe_ratio": "Sharpe ratio",
    "premium": "growth outside, against it",
    "max_drawdown": "max drawdown",
    "time_in_market": "time in market",
}


def run_in_short(found: Answer, evaluation: Evaluation, benchmark: str) -> Table:
    """Five rows about a whole run, each figure with its interval where it has one."""
    return tabulate(
        "run-in-short",
        list(_SHORT),
        (
            texts("whole run", lambda name: _label(name, evaluation)),
            texts(
                evaluation.name, lambda name: _in_short(name, found, evaluation)[0], numeric=True
            ),
            texts(
                f"{CONFIDENCE:.0%} interval",
                lambda name: _in_short(name, found, evaluation)[1],
                numeric=True,
            ),
            texts(
                benchmark,
                lambda name: _beside(name, found, evaluation),
                numeric=True,
            ),
        ),
    )


def runs_in_short(
    found: Mapping[str, Answer], evaluations: Mapping[str, Evaluation], benchmark: str | None
) -> Table:
    """A row per run and one for a benchmark that all share; under a figure its interval."""
    first = next(iter(evaluations.values()))
    rows = []
    for name, one in found.items():
        pairs = [_in_short(figure, one, evaluations[name]) for figure in _SHORT]
        rows.append((name, ["\n".join(filter(None, pair)) for pair in pairs]))
    last = [_beside(figure, next(iter(found.values())), first) for figure in _SHORT]
    return tabulate(
        "runs-in-short",
        [*rows, *([(benchmark, last)] if benchmark else [])],
        (
            texts("whole run", lambda row: row[0]),
            *(
                texts(_label(name, first), lambda row, place=place: row[1][place], numeric=True)
                for place, name in enumerate(_SHORT)
            ),
        ),
    )


def _label(name: str, evaluation: Evaluation) -> str:
    """What a figure is called, marked if it is yearly and the run shorter."""
    yearly = name == "premium" or evaluation.metric(name).yearly
    return speed(_SHORT[name], 365 * evaluation.years) if yearly else _SHORT[name]


def _in_short(name: str, one: Answer, evaluation: Evaluation) -> tuple[str, str]:
    """A figure of the whole run, and its interval."""
    measured = evaluation.metrics["whole"]
    if name == "premium":
        estimate = one.estimates["premium"]
        return percent(one.protection.relative_growth), yearly(estimate)
    form = {"cagr": yearly, "sharpe_ratio": ratios}.get(name)
    said = "" if form is None else form(one.estimates[_ESTIMATED[name]])
    return _plain(name, _of_days(name, "sharpe_ratio", one, float(measured[name]))), said


def _beside(name: str, one: Answer, evaluation: Evaluation) -> str:
    """A figure of the benchmark."""
    if name == "premium":
        return ""
    measured = float(evaluation.benchmark_metrics["whole"][name])
    return _plain(name, _of_days(name, "benchmark_sharpe_ratio", one, measured))


def _of_days(name: str, estimate: str, one: Answer, measured: float) -> float:
    """A Sharpe ratio as its interval is: bars finer than a day compounded to days."""
    value = one.estimates[estimate].value if name == "sharpe_ratio" else math.nan
    return measured if math.isnan(value) else value


_ESTIMATED = {"cagr": "growth", "sharpe_ratio": "sharpe_ratio"}


def _plain(name: str, value: float) -> str:
    return number(value) if name == "sharpe_ratio" else percent(value)


def yearly(estimate: Estimate) -> str:
    """Interval of a log growth a year, as growth a year."""
    return interval(estimate.low, estimate.high, growth)


def ratios(estimate: Estimate) -> str:
    """Interval of a ratio."""
    return interval(estimate.low, estimate.high, number)
