"""Everything stored among the results, as a page that links to each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from delever.report.page import block, render_page
from delever.report.table import Cell, Table, tabulate, texts

_TITLES = {
    "run": "Runs",
    "sweep": "Sweeps",
    "signal": "Signal studies",
    "comparison": "Comparisons",
    "claims": "Claims",
    "state": "States of the market",
}


def params_text(params: Mapping[str, Any]) -> str:
    """Parameters in one line.

    Examples
    --------
    >>> params_text({"weeks": 200, "average": "sma"})
    'weeks=200, average=sma'
    """
    return ", ".join(f"{name}={_short(value)}" for name, value in params.items())


def span(start: str, end: str) -> str:
    """First and last day, once where they are the same."""
    days = dict.fromkeys(day for day in (start, end) if day)
    return " to ".join(days)


def render(frame: pd.DataFrame, beside: Path | None = None) -> str:
    """Write the page of `delever.study.runs.shelf.Runs.frame`."""
    damaged = frame["damage"][frame["damage"] != ""]
    kinds = set(frame["kind"])
    return render_page(
        title="Results",
        headline=f"{len(frame):,} stored, the newest first.",
        notes=[f"damaged: {name}: {what}" for name, what in damaged.items()],
        blocks=[
            block(kind, title, _table(kind, frame[frame["kind"] == kind], beside))
            for kind, title in _TITLES.items()
            if kind in kinds
        ],
    )


def _table(kind: str, frame: pd.DataFrame, beside: Path | None) -> Table:
    def link(row: Any) -> Cell:
        page = Path(row["page"])
        address = page.as_uri() if beside is None else quote(page.relative_to(beside).as_posix())
        return Cell(
            text=row["name"],
            href="" if row["damage"] else address,
            note=span(row["start"], row["end"]),
        )

    def sentence(row: Any) -> Cell:
        return Cell(text=row["damage"] or row["headline"], tone="loss" if row["damage"] else "")

    return tabulate(
        f"results-{kind}",
        frame,
        (
            texts("Made (UTC)", lambda row: f"{row['made']:%Y-%m-%d %H:%M}"),
            texts("Result", link),
            texts("In one sentence", sentence),
            texts("Parameters", lambda row: params_text(row["params"])),
        ),
        sortable=True,
        limit=25,
    )


def _short(value: Any) -> str:
    if value is None or value == []:
        return "none"
    return " ".join(map(_short, value)) if isinstance(value, list) else str(value)
