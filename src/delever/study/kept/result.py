"""What every result offers: one sentence, tables, figures, a page, a document for scripts."""

from __future__ import annotations

import math
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from delever.data.disk import write_page
from delever.errors import InputError
from delever.report.page import block, frame_of, render_page

if TYPE_CHECKING:
    from delever.report.figures.look import Chart
    from delever.study.kept.exporting import Form
    from delever.study.kept.stored import About
    from delever.study.workspaces.workspace import Workspace

_LONGEST_REPR = 900
_ROWS = 12


class Result(ABC):
    """What every result offers, whatever was asked.

    Attributes
    ----------
    headline : str
        The result in one sentence.
    tables : dict of str to pandas.DataFrame
        Everything that was found, by name; the first is the one shown in a notebook.
    figures : dict of str to plotly.graph_objects.Figure
        By name; the first is the one shown in a notebook.

    Examples
    --------
    >>> import delever as dl
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d", end="2015-01-01")
    >>> run = dl.backtest(market, "ma200w_break", weeks=50)
    >>> run.headline
    'Helped in 0 of 2 deleveraging periods, ...'
    >>> list(run.tables)[:3]
    ['periods', 'estimates', 'metrics']
    """

    __slots__ = ()

    @property
    @abstractmethod
    def headline(self) -> str:
        """The result in one sentence."""

    @property
    @abstractmethod
    def tables(self) -> dict[str, pd.DataFrame]:
        """Everything that was found, by name."""

    @property
    def charts(self) -> dict[str, Chart]:
        """Figures as a page holds them, by name."""
        return {}

    @property
    def figures(self) -> dict[str, Any]:
        """Figures of plotly, by name."""
        return {name: chart.alone for name, chart in self.charts.items()}

    @property
    def summary(self) -> pd.DataFrame:
        """The short table that a notebook shows."""
        return next(iter(self.tables.values())).head(_ROWS)

    def html(self) -> str:
        """The page of the result: one text that opens without a network."""
        return render_page(
            title=type(self).__name__,
            headline=self.headline,
            notes=list(getattr(self, "notes", ())),
            blocks=[
                *(block("", chart.title, chart) for chart in self.charts.values()),
                *(block(name, name, table) for name, table in self.tables.items()),
            ],
        )

    def page(self, path: Path | str) -> Path:
        """Write the page of the result.

        Parameters
        ----------
        path : path
            HTML file; folders above it are made.

        Returns
        -------
        Path
            Absolute.

        Raises
        ------
        StoreError
            If the disk refuses.
        """
        target = Path(path).expanduser().resolve()
        write_page(target, self.html())
        return target

    @property
    def about(self) -> About | None:
        """What is said of it where it is stored; None for what is not stored by itself."""
        return None

    def store(self, workspace: Workspace | Path | str | None = None) -> Path:
        """Store page, tables and figures among the results, under a name of their content.

        Parameters
        ----------
        workspace : path, optional
            By default the one at or above the current folder.

        Returns
        -------
        Path
            The page, in a folder of its own below ``backtests/results``. The same inputs have the
            same name; nothing else is overwritten.

        Raises
        ------
        InputError
            If such a result is not stored by itself: `page` writes its page.
        StoreError
            If the disk refuses.
        """
        from delever.study.kept.stored import store
        from delever.study.workspaces.workspace import Workspace

        about = self.about
        if about is None:
            raise InputError(
                f"a result of type {type(self).__name__} has no place among the results; write its "
                "page with .page(path), or its tables with .export(folder)"
            )
        return store(self, about, Workspace.find(workspace).results)

    def export(self, folder: Path | str, *, form: Form = "csv", png: bool = False) -> list[Path]:
        """Write every table, the sentence with the short table in Markdown, and pictures.

        Parameters
        ----------
        folder : path
            Made where it is not there; files of these names are replaced.
        form : {"csv", "parquet"}
            Of the tables. Labels of rows are columns, and columns have one text as their name.
        png : bool
            Whether to draw the figures as well. Needs the extra ``png`` and a Chrome or Chromium.

        Returns
        -------
        list of Path
            The files: one a table, ``summary.md``, and ``figure-NAME.png``.

        Raises
        ------
        InputError
            If there is no such form, or nothing to draw pictures with.
        StoreError
            If the disk refuses.

        Examples
        --------
        >>> import delever as dl, tempfile
        >>> periods = dl.periods("sample/ohlcv/BTC/USD/1d")
        >>> [path.name for path in periods.export(tempfile.mkdtemp())][-1]
        'summary.md'
        """
        from delever.study.kept.exporting import export_result

        return export_result(self, Path(folder).expanduser().resolve(), form, png=png)

    def to_dict(self) -> dict[str, Any]:
        """The result for scripts: what ``--json`` prints; what is undefined is None."""
        return {"headline": self.headline, **{k: plain(v) for k, v in self.tables.items()}}

    def _repr_html_(self) -> str:
        first = next(iter(self.charts.values()), None)
        drawn = "" if first is None else frame_of(first)
        table = self.summary.to_html(float_format=lambda value: f"{value:.4g}")
        return f"<p>{escape(self.headline)}</p>{drawn}{table}"

    def __repr__(self) -> str:
        said = f"{type(self).__name__}: {self.headline}"
        return textwrap.shorten(said, _LONGEST_REPR, placeholder=" …")


def plain(value: Any) -> Any:
    """What JSON can hold of a value: no NaN, stamps as text, tables as rows by their label.

    Examples
    --------
    >>> plain({"fall": float("nan"), "bars": (1, 2)})
    {'fall': None, 'bars': [1, 2]}
    """
    if isinstance(value, pd.DataFrame):
        return {_label(row): plain(values) for row, values in value.to_dict("index").items()}
    if isinstance(value, Mapping | pd.Series):
        return {_label(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if value is pd.NaT:
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, pd.Timedelta):
        return value.total_seconds()
    if hasattr(value, "item"):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def _label(key: Any) -> str:
    return " ".join(map(str, key)) if isinstance(key, tuple) else str(key)
