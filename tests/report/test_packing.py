"""What a page carries of plotly.js and of its figures."""

from __future__ import annotations

import gzip
import hashlib
import json
from base64 import b64decode
from html import unescape
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs_version

from delever.errors import InputError
from delever.report import figures
from delever.report.figures import look, packing
from delever.report.page import block, frame_of, render_page
from delever.research.evaluation import Evaluation


def unpacked(text: str) -> str:
    return gzip.decompress(b64decode(text)).decode()


def drawn(chart: look.Chart) -> dict[str, Any]:
    """What the page's script makes of a packed chart."""
    packed = json.loads(unpacked(packing.packed(chart)))
    for trace in packed["spec"]["data"]:
        for name, value in trace.items():
            if isinstance(value, dict) and "list" in value:
                trace[name] = packed["lists"][value["list"]]
    return packed | packed["spec"]


def of(figure: go.Figure, title: str = "t") -> look.Chart:
    return look.chart("fig-t", title, figure)


def test_the_library_is_the_one_its_readme_names_and_that_of_the_pinned_plotly() -> None:
    folder = files("delever.report") / "vendor"
    content = (folder / packing.BUNDLE).read_bytes()
    source = gzip.decompress(content)
    readme = (folder / "README.md").read_text("utf-8")
    for part in (content, source):
        assert f"`{hashlib.sha256(part).hexdigest()}`" in readme
    assert f"plotly.js (cartesian - minified) v{get_plotlyjs_version()}" in source[:80].decode()
    assert packing.BUNDLE in readme
    assert "MIT License" in (folder / "LICENSE.plotly").read_text("utf-8")
    assert unpacked(packing.library()) == source.decode()


def test_a_packed_chart_keeps_its_values_to_six_digits_and_its_stamps_once(
    evaluation: Evaluation,
) -> None:
    chart = figures.history(
        {"own": evaluation.backtest, "hold": evaluation.benchmark},
        evaluation.periods,
        benchmark="hold",
        exposure="own",
    )
    found = drawn(chart)
    equity = evaluation.backtest.ledger["equity"] / 10_000.0
    own, hold, *_ = found["data"]
    assert own["y"][1:] == pytest.approx(list(equity), rel=5e-6)
    assert own["y"][1:] != list(equity)
    assert own["x"] == hold["x"] == json.loads(chart.spec)["data"][0]["x"]
    assert found["layout"] == json.loads(chart.spec)["layout"]
    assert len(found["lists"]) == 1 + 5  # stamps, then a list of values for each of the curves
    assert len(packing.packed(chart)) < 0.4 * len(chart.spec)


def test_what_is_undefined_stays_a_hole_and_grids_keep_their_shape() -> None:
    grid = np.arange(120.0).reshape(60, 2)
    grid[3, 1] = np.nan
    figure = go.Figure().add_heatmap(z=grid).add_scatter(y=[1.0, None, 2.0])
    heat, line = drawn(of(figure))["data"]
    assert heat["z"][3] == [6.0, None]
    assert np.shape(heat["z"]) == (60, 2)
    assert line["y"] == [1.0, None, 2.0]


def test_stamps_in_milliseconds_are_never_rounded() -> None:
    stamps = pd.date_range("2020-01-01", periods=80, freq="min").as_unit("ms").asi8.astype(float)
    (line,) = drawn(of(go.Figure().add_scatter(x=stamps, y=stamps)))["data"]
    assert line["x"] == list(stamps)
    assert line["y"] != list(stamps)


def test_other_traces_bring_the_whole_library_and_those_that_pages_forbid_are_refused() -> None:
    plain = of(go.Figure().add_scattergl(x=[1, 2], y=[1, 2]))
    assert drawn(plain)["data"][0]["type"] == "scatter"
    assert packing.library([plain]) == packing.library()
    sankey = of(go.Figure(go.Sankey(node={"label": ["a", "b"]})))
    whole = packing.library([plain, sankey])
    assert f"plotly.js v{get_plotlyjs_version()}" in unpacked(whole)[:80]
    surface = of(go.Figure(go.Surface(z=[[1, 2], [3, 4]])), title="The valley")
    with pytest.raises(InputError, match=r"'The valley' has a trace of type 'surface'"):
        render_page(title="t", blocks=[block("a", "A", surface)])


def test_a_frame_for_a_notebook_carries_everything_it_needs() -> None:
    name = '</script><b>"it\'s"</b>'
    frame = frame_of(of(go.Figure().add_scatter(y=[1, 2]), title=name))
    assert frame.count("<") == 2  # the frame alone: what is in it is escaped
    inside = unescape(frame.partition('srcdoc="')[2].partition('"')[0])
    assert packing.library() in inside
    assert "http" not in inside.replace("http-equiv", "")
    assert name not in inside
