"""What a page carries of plotly.js, and its figures, small enough to send: packed for the browser.

Packed is: compressed by gzip and written in base64, which `templates/page.js` takes apart again.
"""

from __future__ import annotations

import gzip
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np

from delever.errors import InputError
from delever.report.figures.look import Chart, to_json

BUNDLE: Final = "plotly-cartesian-4.1.1.min.js.gz"
"""The part of plotly.js in `delever.report/vendor`, whose README says where it is from."""
BUNDLED: Final = frozenset(
    {
        *("bar", "box", "contour", "heatmap", "histogram", "histogram2d", "histogram2dcontour"),
        *("image", "pie", "scatter", "scatterternary", "violin"),
    }
)
"""Types of traces it draws; a page with any other carries the whole library."""

# WebGL compiles code as it draws and maps fetch their tiles: a page forbids both.
_REFUSED = frozenset(
    {
        *("choropleth", "choroplethmap", "choroplethmapbox", "cone", "densitymap"),
        *("densitymapbox", "isosurface", "mesh3d", "parcoords", "scatter3d", "scattergeo"),
        *("scattermap", "scattermapbox", "scatterpolargl", "splom", "streamtube", "surface"),
        "volume",
    }
)
_ROUNDED = frozenset(("y", "z", "base", "open", "high", "low", "close"))
_DIGITS = 6  # no hover shows more
_LONG = 50  # entries of a list that traces may share


def library(charts: Iterable[Chart] = ()) -> str:
    """As much of plotly.js as the charts need, packed.

    Raises InputError if one has a trace that cannot be drawn on a page.
    """
    kinds: set[str] = set()
    for chart in charts:
        found = {_drawn_as(trace.type) for trace in chart.figure.data}
        if refused := sorted(found & _REFUSED):
            raise InputError(
                f"figure {chart.title!r} has a trace of type {refused[0]!r}, which needs WebGL or "
                "a network, and a page has neither; draw it with other types of traces"
            )
        kinds |= found
    return _bundle() if kinds <= BUNDLED else _whole_library()


def packed(chart: Chart) -> str:
    """Data and layout of a chart for plotly.js, packed.

    Values are rounded to six digits. A list that several traces have alike is written once.
    """
    content = chart.content
    lists: dict[str, int] = {}
    for trace in content["data"]:
        trace["type"] = _drawn_as(trace.get("type", "scatter"))
        for name in [name for name, value in trace.items() if _is_long(value)]:
            text = to_json(_listed(trace[name], rounded=name in _ROUNDED))
            trace[name] = {"list": lists.setdefault(text, len(lists))}
    return _pack(f'{{"lists":[{",".join(lists)}],"spec":{to_json(content)}}}'.encode())


def _drawn_as(kind: str) -> str:
    """Type of a trace on a page; `scattergl` has the attributes of `scatter` and needs no WebGL."""
    return "scatter" if kind == "scattergl" else kind


def _is_long(value: Any) -> bool:
    """Whether it is worth a list of its own: typed arrays of plotly are, too."""
    if isinstance(value, Mapping):
        return "bdata" in value
    return isinstance(value, list | tuple | np.ndarray) and len(value) > _LONG


def _listed(value: Any, *, rounded: bool) -> Any:
    """The array as a list; numbers in text compress better than typed arrays once rounded."""
    if isinstance(value, Mapping):
        array = np.frombuffer(b64decode(value["bdata"]), dtype=value["dtype"])
        shape = [int(side) for side in str(value.get("shape", array.size)).split(",")]
        value = array.reshape(shape)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return _each(value) if rounded else value


def _each(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_each(one) for one in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _pack(content: bytes) -> str:
    return b64encode(gzip.compress(content, 6, mtime=0)).decode()


@cache
def _bundle() -> str:
    return b64encode((files("delever.report") / "vendor" / BUNDLE).read_bytes()).decode()


@cache
def _whole_library() -> str:
    from plotly.offline import get_plotlyjs

    return _pack(str(get_plotlyjs()).encode())
