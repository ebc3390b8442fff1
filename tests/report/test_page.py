"""What a page is made of: blocks, and the sections of extensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from delever.errors import InputError
from delever.report.page import Section, block, render_page
from delever.report.pages.tearsheet import render
from delever.report.table import Table, frame_table
from delever.research.evaluation import Evaluation
from delever.study.runs.answering import answer_over

HOSTILE = "<script>alert('x')</script>"


def worst_bars(evaluation: Evaluation) -> list[Any]:
    worst = evaluation.backtest.returns.nsmallest(3).rename("return")
    return [
        f"The worst bars of {evaluation.name}. {HOSTILE}",
        worst.to_frame(),
        pd.DataFrame({HOSTILE: [HOSTILE]}),
        go.Figure().add_bar(x=[HOSTILE], y=[1.0]),
        {HOSTILE: HOSTILE},
        [HOSTILE],
    ]


def test_a_section_of_an_extension_stands_in_the_tear_sheet_with_its_text_as_text(
    evaluation: Evaluation, read: Callable[[str], Any]
) -> None:
    section = Section(id="wild-bars", title=f"Worst bars {HOSTILE}", build=worst_bars)
    page = render(evaluation, answer_over(evaluation), manifest={}, sections=(section,))
    seen = read(page)
    assert HOSTILE not in page
    assert seen.text.count(HOSTILE) == 8  # heading, link, paragraph, two of the table, list, facts
    headings = [h.text for h in seen.all("h2")]
    place = headings.index(section.title)
    assert headings[place - 1 : place + 2 : 2] == ["Trades", "From the first to the final equity"]
    assert "#wild-bars" in [a.attributes.get("href") for a in seen.all("a")]
    worst = evaluation.backtest.returns.min()
    assert float(seen.tables["wild-bars-2"][1][1].attributes["data-order"]) == worst
    assert 'data-chart="fig-wild-bars-4"' in page


def test_a_section_needs_an_id_of_its_own(evaluation: Evaluation) -> None:
    with pytest.raises(InputError, match="lowercase letters"):
        Section(id="Worst bars", title="Worst bars", build=worst_bars)
    twice = Section(id="key", title="Key figures", build=worst_bars)
    with pytest.raises(InputError, match="'key' repeats"):
        render(evaluation, answer_over(evaluation), manifest={}, sections=(twice,))


def test_what_is_marked_as_safe_by_an_extension_is_escaped_as_well(
    read: Callable[[str], Any],
) -> None:
    from markupsafe import Markup

    section = Section(id="own", title="Own", build=lambda about: [Markup(f"{about} <b>bold</b>")])
    seen = read(render_page(title="t", blocks=[section.block("x")]))
    assert "x <b>bold</b>" in seen.text


def test_blocks_that_hold_nothing_are_left_out_and_the_library_goes_with_the_figures() -> None:
    nothing = Table(id="t", columns=(), rows=())
    said = Table(id="u", columns=(), rows=(), empty="There is none.")
    page = render_page(
        title="t",
        blocks=[
            block("a", "Empty", nothing, None, block("", "Within", nothing)),
            block("b", "Said", said),
        ],
    )
    assert "Empty" not in page
    assert "There is none." in page
    assert len(page) < 30_000
    assert "noscript" not in page.partition("</style>")[2]


def test_any_frame_is_a_table_with_its_labels() -> None:
    index = pd.date_range("2020-01-01", periods=2, tz="UTC", name="open_time")
    frame = pd.DataFrame({"return": [0.25, float("nan")], "held": [True, False]}, index=index)
    table = frame_table("t", frame)
    assert table.header == ("open_time", "return", "held")
    assert table.texts == (("2020-01-01", "0.25", "True"), ("2020-01-02", "n/a", "False"))
    assert frame_table("t", frame.reset_index(drop=True)).header == ("return", "held")
