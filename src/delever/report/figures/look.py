"""What a figure is for a page, and how all of them look.

A figure carries data and axes but no look: `themes` holds the two looks, light and dark, and the
page lays one of them under every figure. Colours are told apart by people with any colour
vision, and lines differ in dash as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = [
    "FILL",
    "PALETTE",
    "SHADE",
    "Button",
    "Chart",
    "library",
    "lines",
    "themes",
    "to_json",
    "to_spec",
]

PALETTE: Final = ("#2f7fc1", "#d5602b", "#1b9e77", "#b0569b", "#c79a00", "#4bb0d9")
"""Colours of runs, in order; they keep their contrast on white and on near-black."""
BENCHMARK: Final = "#8a8f98"
"""Colour of the benchmark."""
SHADE: Final = "#e08a1e"
"""Colour of deleveraging periods."""
FILL: Final = "rgba(47,127,193,0.22)"
"""The first colour of the palette, as an area."""

_DASHES = ("solid", "solid", "dash", "dashdot", "dot", "longdash")


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A choice above a chart: `method` of plotly.js called with `arguments` (JSON)."""

    label: str
    method: str
    arguments: str
    pressed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A figure ready for a page."""

    id: str  # fixed name of its element, so that equal inputs give equal pages
    title: str  # heading
    spec: str  # data and layout, as JSON that is safe inside a script element
    height: int  # pixels
    caption: str = ""  # how to read it
    buttons: tuple[Button, ...] = ()  # choices above it; those with one method exclude each other


def library() -> str:
    """Source of plotly.js, to be embedded once per page."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def themes() -> str:
    """Light and dark look of every figure."""
    looks = {
        "light": _look(ink="#2b2f36", quiet="#6b7280", grid="#e6e8ec", paper="255,255,255"),
        "dark": _look(ink="#e3e6ea", quiet="#9aa2ad", grid="#2c323a", paper="27,31,37"),
    }
    return to_json(looks)


def lines(names: Sequence[str], benchmark: str | None) -> dict[str, dict[str, Any]]:
    """Colour, width and dash of each run by its name; the benchmark is thin and grey."""
    drawn: dict[str, dict[str, Any]] = {}
    for name in names:
        if name == benchmark:
            drawn[name] = {"color": BENCHMARK, "width": 1.3}
            continue
        turn = len([other for other in drawn if other != benchmark])
        dash = _DASHES[turn % len(_DASHES)]
        drawn[name] = {"color": PALETTE[turn % len(PALETTE)], "width": 1.7, "dash": dash}
    return drawn


def to_spec(figure: Any) -> str:
    """Data and layout of a plotly figure as JSON, without plotly's own look."""
    spec = figure.to_plotly_json()
    spec["layout"].pop("template", None)
    return to_json(spec)


def to_json(value: Any) -> str:
    """JSON that is safe inside a script element, arrays included."""
    from plotly.io.json import to_json_plotly

    return str(to_json_plotly(value, engine="json"))


def _look(*, ink: str, quiet: str, grid: str, paper: str) -> dict[str, Any]:
    axis = {
        "gridcolor": grid,
        "zerolinecolor": quiet,
        "zerolinewidth": 1,
        "linecolor": grid,
        "tickfont": {"color": quiet, "size": 11},
        "title": {"font": {"color": quiet, "size": 12}, "standoff": 10},
        "automargin": True,
    }
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
    layout = {
        "font": {"family": font, "color": ink, "size": 12},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "colorway": list(PALETTE),
        "xaxis": axis,
        "yaxis": axis,
        "hoverlabel": {
            "bgcolor": f"rgb({paper})",
            "bordercolor": grid,
            "font": {"color": ink, "size": 12, "family": font},
            "namelength": -1,
        },
        "legend": {"bgcolor": f"rgba({paper},0.7)", "font": {"color": ink}},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": quiet, "activecolor": ink},
        "margin": {"l": 64, "r": 12, "b": 36, "t": 14},
    }
    return {"layout": layout}
