"""The figures of the pages, as JSON for plotly.js; the one place that knows plotly."""

from delever.report.figures.attribution_bars import attribution_bars
from delever.report.figures.curves import growth_paths, history
from delever.report.figures.look import Button, Chart, library, themes
from delever.report.figures.return_figures import distribution, monthly, period_bars
from delever.report.figures.signal_figures import abnormal_path, placebo_means, rung_curves

__all__ = [
    "Button",
    "Chart",
    "abnormal_path",
    "attribution_bars",
    "distribution",
    "growth_paths",
    "history",
    "library",
    "monthly",
    "period_bars",
    "placebo_means",
    "rung_curves",
    "themes",
]
