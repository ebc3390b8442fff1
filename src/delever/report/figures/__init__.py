"""The figures of the pages and of notebooks; the one place that knows plotly."""

from delever.report.figures.attribution_bars import attribution_bars as attribution_bars
from delever.report.figures.curves import growth_paths as growth_paths
from delever.report.figures.curves import history as history
from delever.report.figures.look import Chart as Chart
from delever.report.figures.look import themes as themes
from delever.report.figures.luck_figures import luck as luck
from delever.report.figures.packing import library as library
from delever.report.figures.packing import packed as packed
from delever.report.figures.panels import margin_figure as margin_figure
from delever.report.figures.panels import rolling as rolling
from delever.report.figures.price_figure import price_figure as price_figure
from delever.report.figures.return_figures import distribution as distribution
from delever.report.figures.return_figures import monthly as monthly
from delever.report.figures.return_figures import period_bars as period_bars
from delever.report.figures.return_figures import year_bars as year_bars
from delever.report.figures.signal_figures import abnormal_path as abnormal_path
from delever.report.figures.signal_figures import placebo_means as placebo_means
from delever.report.figures.signal_figures import robustness_map as robustness_map
from delever.report.figures.signal_figures import rung_curves as rung_curves
from delever.report.figures.sweep_figures import heat_map as heat_map
from delever.report.figures.sweep_figures import parallel as parallel
