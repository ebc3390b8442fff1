"""The audit of claims as a table and as a page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from delever.arguments import counted
from delever.report.format import NOT_AVAILABLE, day, figure, percent
from delever.report.page import Tile, block, fragment, render_page
from delever.report.table import Cell, Column, Table, listed
from delever.research.claims.audit import AuditedClaim, Expectation, Measurement

VERDICTS = ("confirmed", "contradicted", "depends on the definition", "not testable")
"""Every verdict, in the order they are counted."""

_COLUMNS = (
    Column(label="definition", numeric=False),
    Column(label="measured"),
    Column(label="claimed"),
    Column(label="holds", numeric=False),
    Column(
        label="base rate",
        title="share of earlier rows at which the same could have been said, or more",
    ),
)


def figure_text(value: float | pd.Timestamp | None, unit: str) -> str:
    """Write a figure.

    Examples
    --------
    >>> figure_text(-0.2568, "fraction"), figure_text(62345.0, "number")
    ('-25.7%', '62,345.00')
    """
    if unit == "date" and value is not None:
        return "never" if pd.isna(value) else day(pd.Timestamp(value))
    if not isinstance(value, int | float) or math.isnan(value):
        return NOT_AVAILABLE
    return percent(value) if unit == "fraction" else figure(value)


def expected_text(expects: Expectation | None, unit: str) -> str:
    """Write what a claim expected."""
    if expects is None:
        return ""
    low, high = figure_text(expects.low, unit), figure_text(expects.high, unit)
    if expects.test == "near":
        return f"{low} ± {figure_text(expects.tolerance, unit)}" if expects.tolerance else low
    return {
        "below": f"at most {high}",
        "above": f"at least {low}",
        "between": f"{low} to {high}",
        "since": f"{low} to {high}, or earlier",
    }[expects.test]


def claims_table(audited: Sequence[AuditedClaim]) -> Table:
    """One row per claim and definition; the claim and its verdict stand on the first."""
    rows = []
    for one in audited:
        named = Cell(text=one.claim.id, note=one.claim.statement), Cell(text=one.verdict)
        for measured in one.measured:
            rows.append((*named, *_row(measured)))
            named = Cell(text=""), Cell(text="")
    return listed("claims", ("claim", Column(label="verdict", numeric=False), *_COLUMNS), rows)


def _row(one: Measurement) -> tuple[Cell, ...]:
    rate = "" if math.isnan(one.base_rate) else percent(one.base_rate)
    return (
        Cell(text=one.definition.label, note=one.missing or one.note),
        Cell(text=figure_text(one.value, one.unit), tone="quiet" if one.value is None else ""),
        Cell(text=expected_text(one.definition.expects, one.unit)),
        Cell(text={True: "yes", False: "no", None: ""}[one.holds]),
        Cell(text=rate, title=f"of {one.rows:,} earlier rows" if rate else ""),
    )


def headline(audited: Sequence[AuditedClaim]) -> str:
    """Say in one sentence how the claims fared."""
    seen = counts(audited)
    holds, wrong, depends, open_ = (seen[verdict] for verdict in VERDICTS)
    return (
        f"Of {counted(len(audited), 'claim')} {holds} hold as they were made and {wrong} do not; "
        f"{depends} "
        f"hold or not by what is meant, and {open_} cannot be tested on the data at hand."
    )


def counts(audited: Sequence[AuditedClaim]) -> dict[str, int]:
    """How many claims have which verdict."""
    seen = Counter(one.verdict for one in audited)
    return {verdict: seen[verdict] for verdict in VERDICTS}  # type: ignore[index]


def render(
    title: str,
    audited: Sequence[AuditedClaim],
    *,
    data: Mapping[str, str],
    missing: Mapping[str, str],
    notes: Sequence[str] = (),
) -> str:
    """Write the page of an audit."""
    absent = block("", "Not there", missing) if missing else None
    rows = [(one, [_row(measured) for measured in one.measured]) for one in audited]
    return render_page(
        title=f"{title} - claims",
        name=title,
        span="What was claimed, what the data say, and how often the same happens anyway",
        headline=headline(audited),
        notes=list(notes),
        tiles=[
            Tile(label=verdict, value=str(count), tone=verdict)
            for verdict, count in counts(audited).items()
        ],
        blocks=[
            block("audit", "Claims", fragment("claims.html", "audit", rows, _COLUMNS)),
            block("reading", "How to read this", fragment("claims.html", "reading")),
            block("origin", "Data", data, absent),
        ],
    )
