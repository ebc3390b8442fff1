"""What a figure is for a page and for a notebook, and how all of them look.

On a page one of the two looks of `themes`, light or dark, is laid under every figure. Colours are
told apart by people with any colour vision, and lines differ in dash as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PALETTE: Final = ("#2f7fc1", "#d5602b", "#1b9e77", "#b0569b", "#c79a00", "#4bb0d9")
"""Colours of runs, in order; they keep their contrast on white and on near-black."""
BENCHMARK: Final = "#8a8f98"
"""Colour of the benchmark."""
SHADE: Final = "#e08a1e"
"""Colour of deleveraging periods."""
FILL: Final = "rgba(47,127,193,0.22)"
"""The first colour of the palette, as an area."""
SCALE: Final = [[0, "#c4501f"], [0.5, "#f3f1ec"], [1, PALETTE[0]]]
"""Colours from a loss to a gain."""
LEGEND: Final = {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"}
"""A legend above the figure, in one row."""

_DASHES = ("solid", "solid", "dash", "dashdot", "dot", "longdash")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A figure and what a page says about it."""

    id: str  # fixed name of its element, so that equal inputs give equal pages
    title: str  # heading
    figure: Figure  # height and buttons are set, the look is not
    caption: str = ""  # how to read it
    min_width: int = 0  # pixels it needs to be read; on less it scrolls sideways
    empty: str = "There is nothing to draw."  # what a page says in place of one without a value

    @property
    def is_empty(self) -> bool:
        """Whether no trace has a value."""
        return not any(map(_has_values, self.figure.data))

    @property
    def alone(self) -> Figure:
        """The figure in the light look, for a notebook: no page lays one under it there."""
        if not self.figure.layout.template.to_plotly_json():
            template = _light()
            template["layout"]["paper_bgcolor"] = "#ffffff"
            self.figure.layout.template = template
        return self.figure

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.figure.layout.height)

    @property
    def content(self) -> dict[str, Any]:
        """Data and layout; look, height and buttons are the page's own."""
        content: dict[str, Any] = self.figure.to_plotly_json()
        for name in ("template", "height", "updatemenus"):
            content["layout"].pop(name, None)
        return content

    @property
    def spec(self) -> str:
        """The content as JSON for plotly.js."""
        return to_json(self.content)

    @property
    def buttons(self) -> list[tuple[str, str, str, bool]]:
        """Label, method of plotly.js, its argument as JSON, and whether it is pressed at first."""
        return [
            (unescape(button.label), button.method, to_json(button.args[0]), place == menu.active)
            for menu in self.figure.layout.updatemenus
            for place, button in enumerate(menu.buttons)
        ]


def chart(
    id: str,
    title: str,
    figure: Figure,
    *,
    height: int = 380,
    caption: str = "",
    min_width: int = 0,
    empty: str = "There is nothing to draw.",
) -> Chart:
    """Make a chart of a figure, without the look of plotly's own."""
    figure.layout.template = None
    figure.layout.height = figure.layout.height or height
    return Chart(
        id=id, title=title, figure=figure, caption=caption, min_width=min_width, empty=empty
    )


def choices(figure: Figure, method: str, arguments: Mapping[str, Mapping[str, Any]]) -> None:
    """Add buttons that exclude each other, a row under the figure; the first is pressed."""
    figure.update_layout(
        updatemenus=[
            {
                **{"type": "buttons", "direction": "right", "active": 0, "pad": {"t": 30}},
                **{"x": 1, "xanchor": "right", "y": 0, "yanchor": "top"},
                "buttons": [
                    {"label": escape(label), "method": method, "args": [dict(given)]}
                    for label, given in arguments.items()
                ],
            }
        ]
    )


def themes(*, dark: bool = True) -> str:
    """Light and dark look of every figure; both light for a place that is always light."""
    night = _look(ink="#e3e6ea", quiet="#9aa2ad", grid="#2c323a", paper="27,31,37")
    return to_json({"light": _light(), "dark": night if dark else _light()})


def axis(title: str, form: str = "", **more: Any) -> dict[str, Any]:
    """Set the title and the format of an axis."""
    return {"title": {"text": title}, **({"tickformat": form} if form else {}), **more}


def lines(names: Sequence[str], benchmark: str | None) -> dict[str, dict[str, Any]]:
    """Colour, width and dash of each run by its name; the benchmark is thin and grey."""
    drawn: dict[str, dict[str, Any]] = {}
    for name in names:
        if name == benchmark:
            drawn[name] = {"color": BENCHMARK, "width": 1.3}
            continue
        turn = len([other for other in drawn if other != benchmark])
        # From the seventh on a colour comes again, with a dash it has not had: 18 differ.
        dash = _DASHES[(turn + 2 * (turn // len(PALETTE))) % len(_DASHES)]
        drawn[name] = {"color": PALETTE[turn % len(PALETTE)], "width": 1.7, "dash": dash}
    return drawn


def _has_values(trace: Any) -> bool:
    """Whether a trace has a value; of types without `y` and `z` that is taken for granted."""
    values = next((trace[name] for name in ("z", "y") if name in trace), None)
    if "y" not in trace:
        return True
    return values is not None and not bool(pd.isna(np.asarray(values, dtype=object)).all())


def to_json(value: Any) -> str:
    """JSON that is safe inside a script element, arrays included."""
    from plotly.io.json import to_json_plotly

    return str(to_json_plotly(value, engine="json"))


def _light() -> dict[str, Any]:
    return _look(ink="#2b2f36", quiet="#6b7280", grid="#e6e8ec", paper="255,255,255")


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
