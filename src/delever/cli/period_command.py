"""``delever periods``."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from delever.cli.terminal import WorkspaceOption, echo_json

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(periods)


def periods(
    data: Annotated[
        str, typer.Option("--data", help="Bars to measure them on.", metavar="REFERENCE")
    ] = "sample/ohlcv/BTC/USD/1d",
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show the deleveraging periods on a data set. Says how late a causal detector sees them."""
    from delever.cli.terminal import print_rows
    from delever.report.format import day, number, percent
    from delever.study import period_measures as episodes
    from delever.study.notebook import load_periods
    from delever.study.workspace import Workspace

    place = Workspace.find(workspace)
    dataset = place.catalog.load(data)
    catalogue = load_periods(workspace=place.root)
    seen, report = episodes.falls(dataset, catalogue), episodes.detection(dataset, catalogue)
    lags = {str(name): float(lag) for name, lag in report.periods["lag"].items()}
    median = report.periods["lag"].median()
    if as_json:
        echo_json(
            {
                "data": data,
                "periods": {
                    str(period): {
                        "title": row["title"],
                        "bars": int(row["bars"]),
                        "fall": _finite(row["fall"]),
                        "lowest": day(row["lowest"]),
                        "lag": _finite(lags.get(str(period), math.nan)),
                    }
                    for period, row in seen.iterrows()
                },
                "period_recall": _finite(report.period_recall),
                "bar_precision": _finite(report.bar_precision),
                "bar_recall": _finite(report.bar_recall),
                "alarms": report.alarms,
                "false_alarms": report.false_alarms,
            }
        )
        return
    print_rows(
        f"Deleveraging periods on {data} (drawn with hindsight)",
        ["period", "title", "bars", "fall", "lowest close", "detected after"],
        [
            (
                str(period),
                row["title"],
                str(row["bars"]),
                percent(row["fall"]),
                day(row["lowest"]),
                _lag(lags.get(str(period))),
            )
            for period, row in seen.iterrows()
        ],
        left=("period", "title"),
    )
    typer.echo(
        f"causal detector: {percent(report.period_recall, 0)} of the periods found, half of those "
        f"within {number(median, 1)} bars; {report.alarms} alarms, {report.false_alarms} of "
        f"them false; {percent(report.bar_precision, 0)} of the bars it marks lie in a period"
    )


def _lag(bars: float | None) -> str:
    if bars is None:
        return "n/a"  # the data cover the period only in part
    return "not detected" if math.isnan(bars) else f"{bars:.0f} bars"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
