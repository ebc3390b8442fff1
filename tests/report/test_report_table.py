from __future__ import annotations

import math

import pytest

from delever.report.table import (
    Column,
    Table,
    fraction_cell,
    mark_best,
    metric_cell,
    number_cell,
)
from delever.stats.metrics import find


def tones(values: list[float], name: str) -> list[str]:
    spec = find(name)
    return [cell.tone for cell in mark_best([metric_cell(v, spec) for v in values], spec.better)]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("cagr", [0.1, 0.3, 0.2], ["", "best", ""]),
        ("volatility", [0.1, 0.3, 0.2], ["best", "", ""]),
        ("max_drawdown", [-0.8, -0.2], ["", "best"]),
        ("cagr", [0.30001, 0.3, 0.1], ["best", "best", ""]),  # they read the same
        ("cagr", [0.3, 0.3], ["", ""]),
        ("cagr", [0.3, math.nan], ["", "quiet"]),  # nothing to compare with
        ("cagr", [0.3, math.nan, 0.1], ["best", "quiet", ""]),
        ("trades", [3.0, 5.0], ["", ""]),  # neither way is better
    ],
)
def test_the_best_is_marked_as_the_metric_says(
    name: str, values: list[float], expected: list[str]
) -> None:
    assert tones(values, name) == expected


def test_an_undefined_number_is_quiet_and_sorts_last() -> None:
    cell = number_cell(math.nan, str)
    assert (cell.text, cell.tone, cell.order) == ("n/a", "quiet", None)


def test_only_what_reads_negative_has_the_tone_of_a_loss() -> None:
    cells = [fraction_cell(v) for v in (-0.2, -0.0001, 0.2)]
    assert [cell.tone for cell in cells] == ["loss", "", ""]


def test_groups_begin_where_the_widths_say() -> None:
    table = Table(
        id="t",
        columns=tuple(Column(label=str(k)) for k in range(5)),
        rows=(),
        groups=(
            ("", 1),
            ("a", 2),
            ("b", 2),
        ),
    )
    assert table.edges == (1, 3)
    assert table.header == ("0", "1", "2", "3", "4")
