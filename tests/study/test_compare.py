"""Runs are compared over what they share, and say where they differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.errors import InputError


@pytest.fixture
def market(workspace):
    return dl.market("sample/ohlcv/BTC/USD/1d").upto(pd.Timestamp("2015-06-01", tz="UTC"))


def test_every_run_is_measured_over_the_common_span(market):
    long = dl.backtest(market, "buy_and_hold")
    short = dl.backtest(market, "ma200w_break", weeks=100)
    both = dl.compare(long, short)
    assert (both.start, both.end) == short.evaluation.span
    spans = {evaluation.span for evaluation in both.evaluations}
    assert spans == {(both.start, both.end)}
    held = long.equity
    before = held.loc[held.index < both.start].iloc[-1]
    expected = held.iloc[-1] / before - 1
    got = both.metrics.loc["total_return", ("buy_and_hold", "whole")]
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert any("different spans" in note for note in both.notes)


def test_differing_costs_and_equal_names_are_told_apart(market):
    cheap = dl.backtest(market, "buy_and_hold", costs=dl.Costs())
    dear = dl.backtest(market, "buy_and_hold", costs=dl.Costs(taker_fee=0.01))
    both = dl.compare(cheap, dear)
    assert len(set(both.labels)) == 2
    assert "the runs pay different costs" in both.notes
    assert sum("close-only" in note for note in both.notes) == 1


def test_one_run_or_no_common_span_is_refused(market):
    early = dl.backtest(market, "buy_and_hold", end="2012-01-01")
    late = dl.backtest(market, "buy_and_hold", start="2013-01-01")
    with pytest.raises(InputError, match="at least two"):
        dl.compare(early)
    with pytest.raises(InputError, match="overlap"):
        dl.compare(early, late)


def test_the_page_is_written_and_the_notebook_renders(market, tmp_path):
    runs = dl.backtest(market, "buy_and_hold"), dl.backtest(market, "support_breach", weeks=20)
    both = dl.compare(*runs)
    page = both.page(tmp_path / "new" / "comparison.html")
    text = page.read_text(encoding="utf-8")
    assert "support_breach" in text
    assert "<table" in both._repr_html_()
    assert "<table" in runs[0]._repr_html_()
