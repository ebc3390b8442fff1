"""A result read back from where it was stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from delever.arguments import shown
from delever.errors import InputError, StoreError
from delever.report.figures.images import read_figure
from delever.study.kept.exporting import FIGURES, TABLES, named
from delever.study.kept.result import Result, plain
from delever.study.kept.stored import Stored
from delever.study.runs.run import load_run
from delever.study.runs.shelf import find
from delever.study.sweeps.sweep_result import read_sweep
from delever.study.workspaces.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class KeptResult(Result):
    """A stored comparison, signal study, audit of claims or state, as it was found then.

    Attributes
    ----------
    stored : Stored
        Its folder, kind, span, parameters and sentence.
    """

    stored: Stored

    @property
    def headline(self) -> str:
        """Its sentence."""
        return self.stored.headline

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Its tables; labels of rows are columns."""
        folder = self.stored.folder / TABLES
        return {named(path): pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}

    @property
    def figures(self) -> dict[str, Any]:
        """Its figures."""
        folder = self.stored.folder / FIGURES
        return {
            named(path): read_figure(path.read_text(encoding="utf-8"))
            for path in sorted(folder.glob("*.json"))
        }

    def html(self) -> str:
        """Its page."""
        return self.stored.page.read_text(encoding="utf-8")

    def to_dict(self) -> dict[str, Any]:
        """Its kind, span, parameters, sentence and tables."""
        about = self.stored.about
        return {
            "kind": about.kind,
            "name": self.stored.name,
            "span": {"start": about.start, "end": about.end},
            "inputs": plain(about.inputs),
            "headline": self.headline,
            **{name: plain(table) for name, table in self.tables.items()},
        }


def result(
    name: Path | str,
    *,
    workspace: Workspace | Path | str | None = None,
) -> Result:
    """Read anything that was stored, by any name that is printed.

    Parameters
    ----------
    name : path or str
        ``study/id``, an id or the first digits of it, a folder or a file in it, or a study: its
        newest run.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    Result
        A `Run` or `Sweep`; of anything else its sentence, tables, figures and page as stored.

    Raises
    ------
    InputError
        If nothing, or more than one thing, goes by that name; the message lists them.
    StoreError
        If a file of it is missing or changed.

    Examples
    --------
    >>> import delever as dl
    >>> dl.result("ma200w_break").export("tables", png=True)  # doctest: +SKIP
    """
    if not isinstance(name, str | Path):
        raise InputError(f"a result must be named by a text or a path; got {shown(name)}")
    place = Workspace.find(workspace)
    found = find(place, name).stored
    if found.kind == "run":
        return load_run(found.folder, extensions=place.extensions)
    if found.damage:
        raise StoreError(f"{found.folder} must be as it was written; {found.damage}; make it again")
    return read_sweep(found.folder) if found.kind == "sweep" else KeptResult(stored=found)
