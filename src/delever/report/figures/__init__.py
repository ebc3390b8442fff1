"""The figures of the pages and of notebooks; the one place that knows plotly."""

from delever.report.figures.attribution_bars import attribution_bars
from delever.report.figures.curves import growth_paths, history
from delever.report.figures.look import Chart, themes
from delever.report.figures.luck_figures import luck
from delever.report.figures.margin_figure import margin_figure
from delever.report.figures.packing import library, packed
from delever.report.figures.price_figure import price_figure
from delever.report.figures.return_figures import distribution, monthly, period_bars, year_bars
from delever.report.figures.rolling_figure import rolling
from delever.report.figures.signal_figures import (
    abnormal_path,
    placebo_means,
    robustness_map,
    rung_curves,
)
from delever.report.figures.sweep_figures import heat_map, parallel

__all__ = [
    "Chart",
    "abnormal_path",
    "attribution_bars",
    "distribution",
    "growth_paths",
    "heat_map",
    "history",
    "library",
    "luck",
    "margin_figure",
    "monthly",
    "packed",
    "parallel",
    "period_bars",
    "placebo_means",
    "price_figure",
    "robustness_map",
    "rolling",
    "rung_curves",
    "themes",
    "year_bars",
]
