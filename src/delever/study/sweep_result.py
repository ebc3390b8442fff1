"""What a sweep came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from delever.report.figures.look import Chart
from delever.study.result import Result, plain

SHOWN = ("sharpe_ratio", "cagr", "max_drawdown", "inside_total_return")
"""Metrics of a short table."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Sweep(Result):
    """A finished sweep.

    Attributes
    ----------
    name : str
        Of the study.
    frame : pandas.DataFrame
        One row per combination: a column per axis, ``start``, ``error`` and the metrics.
    axes : tuple of str
        Names of the axes' columns.
    manifest : mapping
        Everything it was made from.
    folder : Path or None
        Where it is stored.
    n_trials : int
        Combinations ever tried in this study on this data.
    resumed : int
        Combinations that were there already.
    """

    name: str
    frame: pd.DataFrame
    axes: tuple[str, ...]
    manifest: Mapping[str, Any]
    folder: Path | None = None
    n_trials: int = 0
    resumed: int = 0

    @property
    def best(self) -> pd.DataFrame:
        """The ten combinations with the highest Sharpe ratios."""
        from delever.report.pages.sweep_page import top

        return top(self.frame, 10)

    @property
    def headline(self) -> str:
        """The highest Sharpe ratio, where it was, and out of how many trials."""
        best = self.best
        if best.empty:
            return f"None of {len(self.frame):,} combinations has a Sharpe ratio."
        where = ", ".join(f"{axis} {best[axis].iloc[0]}" for axis in self.axes)
        return (
            f"The highest Sharpe ratio of {len(self.frame):,} combinations is "
            f"{best['sharpe_ratio'].iloc[0]:.2f} (at {where}); the best of {self.n_trials:,} "
            "trials looks good by luck alone."
        )

    @property
    def refusal(self) -> str:
        """Why no combination has a result; empty where one has."""
        errors = self.frame["error"]
        if (errors == "").any():
            return ""
        reasons = errors.value_counts()
        more = f" (and {len(reasons) - 1} other reasons)" if len(reasons) > 1 else ""
        return f"every one of {len(errors):,} combinations was refused: {reasons.index[0]}{more}"

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The best combinations, and all of them."""
        return {"best": self.best, "combinations": self.frame}

    @property
    def charts(self) -> dict[str, Chart]:
        """Maps of the first two axes, and every axis beside the metrics."""
        from delever.report.pages.sweep_page import charts

        return charts(self.frame, self.axes)

    @property
    def summary(self) -> pd.DataFrame:
        """The best combinations with their first metrics."""
        return self.best[[*self.axes, *SHOWN]]

    def html(self) -> str:
        """The sweep as a page."""
        from delever.report.pages.sweep_page import render

        return render(self.name, self.frame, axes=self.axes, manifest=self.manifest)

    def to_dict(self) -> dict[str, Any]:
        """What ``delever sweep --json`` prints."""
        best = self.best.head(1).drop(columns=["start", "error"]).to_dict("records")
        return {
            "sweep_id": self.manifest.get("sweep_id"),
            "folder": None if self.folder is None else str(self.folder),
            "headline": self.headline,
            "combinations": len(self.frame),
            "resumed": self.resumed,
            "failed": self.manifest["failed"],
            "n_trials": self.n_trials,
            "highest_sharpe_ratio": plain(best[0]) if best else None,
        }
