"""How a metric depends on the parameters of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from delever.report.figures.look import SCALE, Chart, axis, chart

_MOST_LINES = 2_000
_MOST_WORDS = 200


def heat_map(
    frame: pd.DataFrame, x: str, y: str, metric: str, label: str, *, fraction: bool
) -> Chart:
    """Median of a metric over everything but two axes.

    Notes
    -----
    Colours span what there is, however little; up to 200 cells say their number as well.
    """
    from plotly import graph_objects as go

    shape = ".1%" if fraction else ".2f"
    table = frame.pivot_table(index=y, columns=x, values=metric, aggfunc="median", dropna=False)
    figure = go.Figure()
    figure.add_heatmap(
        z=table.to_numpy(dtype=float),
        x=[str(value) for value in table.columns],
        y=[str(value) for value in table.index],
        colorscale=SCALE,
        colorbar={"title": {"text": label}, "tickformat": shape},
        texttemplate=f"%{{z:{shape}}}" if table.size <= _MOST_WORDS else None,
        xgap=2,
        ygap=2,
        hovertemplate=f"{x} %{{x}}<br>{y} %{{y}}<br>{label} %{{z:{shape}}}<extra></extra>",
    )
    figure.update_layout(xaxis=axis(x, type="category"), yaxis=axis(y, type="category"))
    return chart(
        f"map-{metric.replace('_', '-')}",
        f"{label} by {x} and {y}",
        figure,
        height=460,
        caption="Each cell is the median over all other axes; look for a plateau, not for a peak.",
    )


def parallel(frame: pd.DataFrame, axes: Sequence[str], metrics: Sequence[tuple[str, str]]) -> Chart:
    """Every combination as a line through its parameters and metrics.

    Notes
    -----
    Of more than 2,000 combinations every k-th is drawn, in the order of the first metric.
    """
    from plotly import graph_objects as go

    known = frame.dropna(subset=[name for name, _ in metrics])
    known = known.sort_values(metrics[0][0], kind="stable")
    drawn = known.iloc[:: max(1, -(-len(known) // _MOST_LINES))]
    dimensions = [_dimension(drawn[axis], axis) for axis in axes]
    dimensions += [{"label": label, "values": drawn[name].tolist()} for name, label in metrics]
    figure = go.Figure()
    figure.add_parcoords(
        line={"color": drawn[metrics[0][0]].tolist(), "colorscale": SCALE, "showscale": True},
        dimensions=dimensions,
    )
    left_out = f" {len(drawn):,} of {len(known):,} are drawn." if len(drawn) < len(known) else ""
    return chart(
        "parallel",
        "All combinations",
        figure,
        height=460,
        caption="Drag along an axis to keep the lines that pass there." + left_out,
    )


def _dimension(values: pd.Series, label: str) -> dict[str, object]:
    if values.dtype.kind in "iuf":
        return {"label": label, "values": values.tolist()}
    names = sorted(set(values))
    return {
        "label": label,
        "values": np.searchsorted(names, values.tolist()).tolist(),
        "tickvals": list(range(len(names))),
        "ticktext": names,
    }
