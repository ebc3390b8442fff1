"""Tables of the answer: periods as insurance, the account of it, and figures with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Literal

import numpy as np
import pandas as pd

from delever.arguments import counted
from delever.deleveraging.period import Period
from delever.report.answer_words import counts, p_value
from delever.report.format import NOT_AVAILABLE, day, growth, number, percent, points, speed
from delever.report.page import Tile
from delever.report.pages.short_tables import ratios, yearly
from delever.report.table import (
    Cell,
    Table,
    fraction_cell,
    listed,
    numbers,
    points_cell,
    stretch,
    tabulate,
    texts,
)
from delever.research.answer import Answer
from delever.research.evaluation import Evaluation
from delever.research.luck import NullTest
from delever.research.protection import Protection
from delever.stats.bootstrap import Estimate

_TONES: Mapping[str, Literal["best", "loss", "quiet"]] = {
    "helped": "best",
    "hurt": "loss",
    "ruined": "loss",
    "not begun": "quiet",
    "nothing": "quiet",
}


def insurance_table(
    split: Protection,
    periods: Mapping[str, Period],
    benchmark: str,
    *,
    cut: Collection[str] = (),
    id_: str = "periods",
) -> Table:
    """What the strategy paid out in each period; the run covers those of `cut` only in part."""

    def about(row: Mapping[str, object]) -> Cell:
        start, end = row["start"], row["end"]
        assert isinstance(start, pd.Timestamp)
        assert isinstance(end, pd.Timestamp)
        room = max((end - start) * 0.6, pd.Timedelta(days=10))
        drawn = periods.get(str(row["id"]))
        parts = [f"{day(start)} to {day(end - pd.Timedelta(1, unit='ns'))}."]
        parts += [] if drawn is None else [drawn.cause]
        parts += ["The run covers it only in part."] if row["id"] in cut else []
        return Cell(
            text=str(row["title"]),
            order=f"{start:%Y-%m-%d %H:%M}",
            note=" ".join(filter(None, parts)),
            zoom=stretch(start - room, end + room),
        )

    return tabulate(
        id_,
        split.periods,
        (
            texts("Period", about),
            numbers("benchmark", "benchmark_return", fraction_cell, title=benchmark),
            numbers("strategy", "strategy_return", fraction_cell),
            numbers("Points saved", "points_saved", points_cell, title="strategy less benchmark"),
            numbers("Wealth kept", "wealth_kept", lambda kept: f"{number(kept, 3)}x"),
            numbers("by size", "size", log_points, title="what a constant position would pay"),
            numbers("by timing", "timing", log_points, title="the rest of the payout"),
            texts("", lambda row: Cell(text=row["outcome"], tone=_TONES[row["outcome"]])),
        ),
        groups=(("", 1), ("Return", 2), ("Protection", 2), ("Payout, log points", 2), ("", 1)),
        caption=(
            f"Points saved: return of the strategy less that of {benchmark}; half a point either "
            "way counts as nothing. Wealth kept: the ratio of the two. Payout: its log, split into "
            f"what a constant position of {percent(split.mean_exposure, 0)}, the run's mean "
            "exposure, would have paid and what timing added."
        ),
        empty="No deleveraging period of the catalogue lies in this run, and none was detected.",
    )


def log_points(value: float) -> str:
    """Write log points, a hundred of them a factor of e."""
    return "ruin" if value == -math.inf else number(100 * value, 1)


def ledger(found: Answer) -> dict[str, str]:
    """The account of the insurance over the whole run."""
    split, saved = found.protection, found.saved
    insured = split.insured
    spread = insured["payout"]
    out = {
        "Payouts": f"{log_points(split.payouts)} log points in {counted(len(insured), 'period')}",
        "Premium": "everything: the account was ruined outside the periods"
        if math.isinf(split.premium)
        else f"{log_points(split.premium)} log points, growth given up outside the periods",
        "Log wealth against the benchmark": "nothing is left"
        if math.isinf(split.log_wealth_ratio)
        else f"{log_points(split.log_wealth_ratio)} log points, payouts less premium",
        "Premium a year": speed(f"{percent(-split.relative_growth)} of growth a year", split.days),
        "Payout ratio": _ratio(split),
        "Break-even frequency": _frequency(split),
        "Down-capture inside": number(split.down_capture),
    }
    if len(spread):
        out["Payout of a period"] = (
            f"mean {log_points(spread.mean())}, median {log_points(spread.median())}, worst "
            f"{log_points(spread.min())} log points"
        )
        if not math.isnan(split.mean_exposure):
            out["Of the payouts"] = (
                f"{log_points(insured['size'].sum())} log points by size, "
                f"{log_points(insured['timing'].sum())} by timing"
            )
    if saved.most_influential >= 0 and not math.isnan(saved.lowest):
        title = insured["title"].iloc[saved.most_influential]
        without = insured["points_saved"].drop(insured.index[saved.most_influential]).mean()
        out["Leaving a period out"] = (
            f"{points(saved.lowest)} to {points(saved.highest)} points a period; without {title} "
            f"{points(without)}"
        )
    if not math.isnan(saved.detectable):
        out["Smallest effect detectable"] = (
            f"{number(100 * saved.detectable, 1)} points a period with {saved.values} periods, "
            "found by a test at 5% in four runs of five"
        )
    return out


def _ratio(split: Protection) -> str:
    if math.isnan(split.payout_ratio):
        return "no premium was paid: it gained outside as well, or did the same"
    return f"{number(split.payout_ratio)} ({'' if split.payout_ratio >= 1 else 'not '}paid for)"


def _frequency(split: Protection) -> str:
    there = f"there were {number(split.periods_per_year)} a year"
    if math.isnan(split.break_even_frequency):
        none = "no premium to make up for" if split.premium <= 0 else "none: it paid nothing out"
        return speed(f"{none}; {there}", split.days)
    return speed(f"{number(split.break_even_frequency)} periods a year; {there}", split.days)


def answer_tiles(found: Answer, evaluation: Evaluation, benchmark: str) -> list[Tile]:
    """The six numbers of the first screen."""
    split, saved = found.protection, found.saved
    sharpe, beside = found.estimates["sharpe_ratio"], found.estimates["benchmark_sharpe_ratio"]
    fall, other = (
        float(frame["whole"]["max_drawdown"])
        for frame in (evaluation.metrics, evaluation.benchmark_metrics)
    )
    outcomes = " / ".join(str(split.count(each)) for each in ("helped", "hurt", "nothing"))
    ratio = split.payout_ratio
    return [
        Tile(
            label="Saved in a period, on average",
            value="none" if math.isnan(saved.mean) else f"{points(saved.mean)} points",
            beside="no interval"
            if math.isnan(saved.low)
            else f"90% interval {points(saved.low)} to {points(saved.high)}",
        ),
        Tile(
            label="Helped / hurt / did nothing",
            value=outcomes,
            beside=f"in {len(split.periods)} {'detected ' if found.detected else ''}periods",
        ),
        Tile(
            label="Growth outside, against it",
            value=speed(f"{percent(split.relative_growth)} a year", split.days),
            beside=f"90% interval {yearly(found.estimates['premium'])}",
        ),
        Tile(
            label="Payout ratio",
            value="no premium" if split.premium <= 0 else number(ratio),
            beside=_break_even(split),
        ),
        Tile(
            label="Sharpe ratio",
            value=speed(number(sharpe.value), split.days),
            beside=f"{ratios(sharpe)}; {benchmark} {number(beside.value)}",
        ),
        Tile(label="Max drawdown", value=percent(fall), beside=f"{benchmark} {percent(other)}"),
    ]


def _break_even(split: Protection) -> str:
    there = f"{number(split.periods_per_year, 1)} periods a year"
    if math.isnan(split.break_even_frequency):
        return speed(f"there were {there}", split.days)
    pays = f"pays for itself at {number(split.break_even_frequency, 1)}"
    return speed(f"{pays}; there were {there}", split.days)


def statistics_table(found: Answer, benchmark: str) -> Table:
    """Figures of the whole run with their intervals, beside the benchmark's, and the difference."""
    estimates = found.estimates
    rows: list[tuple[str, str, Callable[[float], str]]] = [
        ("Growth a year", "growth", growth),
        ("Sharpe ratio", "sharpe_ratio", number),
    ]

    def cell(estimate: Estimate, form: Callable[[float], str]) -> Cell:
        if math.isnan(estimate.value):
            return Cell(text=NOT_AVAILABLE, tone="quiet", note=estimate.reason)
        note = estimate.reason or f"{form(estimate.low)} to {form(estimate.high)}"
        return Cell(text=form(estimate.value), order=estimate.value, note=note)

    def tested(estimate: Estimate) -> Cell:
        if math.isnan(estimate.p_value):
            return Cell(text=NOT_AVAILABLE, tone="quiet")
        return Cell(text=p_value(estimate.p_value), order=estimate.p_value)

    made = [
        (
            Cell(text=speed(label, found.protection.days)),
            cell(estimates[name], form),
            cell(estimates[f"benchmark_{name}"], form),
            cell(estimates[f"{name}_difference"], form),
            tested(estimates[f"{name}_difference"]),
        )
        for label, name, form in rows
    ]
    quiet = Cell(text="", tone="quiet")
    premium = estimates["premium"]
    made.append(
        (
            Cell(text=speed("Growth outside periods, a year", found.protection.days)),
            quiet,
            quiet,
            cell(premium, growth),
            tested(premium),
        )
    )
    return listed(
        "statistics",
        ("", "strategy", benchmark, "difference", "test of no difference"),
        made,
        caption=(
            "Under each figure its 90% interval, from a studentised stationary bootstrap of the "
            "bars, those finer than a day compounded to days. Growth is compounded; a difference "
            "of growth is relative. The tests are "
            "two-sided and, apart from the two tests of luck above, not corrected for each other."
        ),
    )


_TESTS = {
    "Timing": "the same exposures, shifted in time",
    "Redrawn periods": "the same rule on resampled markets",
}


def made_tests(found: Answer) -> dict[str, NullTest]:
    """The tests of luck that can be drawn, by name: a ruined run has no finite payout."""
    tests = dict(zip(_TESTS, (found.timing, found.redrawn), strict=True))
    return {
        name: test
        for name, test in tests.items()
        if test is not None
        and math.isfinite(test.statistic)
        and np.isfinite(test.null_values).any()
    }


def luck_table(found: Answer) -> Table:
    """The two tests of luck: what was observed, what luck gives, and the p-value."""
    tests = zip(_TESTS.items(), (found.timing, found.redrawn), strict=True)
    rows = [(name, about, test) for (name, about), test in tests if test is not None]
    return tabulate(
        "luck",
        rows,
        (
            texts("Test", lambda row: Cell(text=row[0], note=_about_test(row[1], row[2]))),
            texts("Mean payout", lambda row: _seen(row[2]), numeric=True),
            texts("Luck gives", lambda row: _luck(row[2]), numeric=True),
            texts("Luck did worse in", lambda row: _share(row[2]), numeric=True),
            texts("p-value", lambda row: _tested(row[2]), numeric=True),
        ),
        caption=(
            "Mean payout of a period in log points; middle 90% of what luck gives; two-sided "
            "p-values. The timing test asks of exposures that have nothing to do with prices: a "
            "rule that follows prices can look well timed in periods drawn with hindsight, so the "
            "test on redrawn periods has the last word. How often both are wrong is in the methods."
        ),
        empty="Neither test was made.",
    )


def detected_words(found: Answer) -> str:
    """What the detected periods say, beside those of the run."""
    assert found.causal is not None
    assert found.causal_saved is not None
    saved = found.causal_saved
    text = (
        f"{counts(found.causal, 'detected')}: {points(saved.mean)} points a period. Each begins "
        "when a causal detector sees the fall, so nothing here is known in hindsight; by then part "
        "of the fall is over."
    )
    return f"{text} The two do not agree on the answer." if found.disagrees else text


def _about_test(about: str, test: NullTest) -> str:
    return about if test.known else f"{about}; not made: {test.reason}"


def _seen(test: NullTest) -> str:
    return log_points(test.statistic) if test.known else NOT_AVAILABLE


def _luck(test: NullTest) -> str:
    if not test.known:
        return NOT_AVAILABLE
    # Of values that may be without bound, one that was drawn.
    low, high = np.quantile(test.null_values, [0.05, 0.95], method="inverted_cdf")
    return f"{log_points(low)} to {log_points(high)}"


def _share(test: NullTest) -> str:
    return percent(test.share_worse, 0) if test.known else NOT_AVAILABLE


def _tested(test: NullTest) -> str:
    return p_value(test.p_value).removeprefix("p = ") if test.known else NOT_AVAILABLE
