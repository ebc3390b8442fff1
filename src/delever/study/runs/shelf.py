"""What was stored, found again by any name that is printed, and listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from delever.arguments import shown
from delever.errors import InputError
from delever.report.pages.index_page import params_text, render
from delever.study.kept.result import Result, plain
from delever.study.kept.stored import KINDS, Stored, everything, listing, read_stored
from delever.study.runs.archive import is_complete
from delever.study.workspaces.workspace import Workspace

_MOST_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a name stands for, and why."""

    stored: Stored
    said: str  # which was taken, in words

    @property
    def folder(self) -> Path:
        """Where it is stored."""
        return self.stored.folder


def find(place: Workspace, name: Path | str, kinds: Sequence[str] = KINDS) -> Taken:
    """What a name stands for, among all that is stored.

    Raises InputError if nothing, or more than one thing, goes by that name; the message lists them.

    A name is a folder or a file in it, ``study/id``, an id or its first digits, or a study: its
    newest run. A whole name goes before a study's, and that before the first digits of an id.
    """
    at = _located(place, Path(name))
    if at is not None and at.kind in kinds:
        return Taken(stored=at, said=at.name)
    text = _below(place.results, name) or "/".join(str(name).split())
    there = everything(place.results, kinds)
    whole = [one for one in there if text in _names(one)]
    of_study = [one for one in there if one.group == text]
    begun = [one for one in there if text and _begins(one, text)]
    if not whole and of_study:
        runs = [one for one in of_study if one.kind == "run"] or of_study
        newest, more = runs[0], len(runs) - 1
        said = f"{newest.name}, the newest of {more + 1}" if more else newest.name
        return Taken(stored=newest, said=said)
    found = whole or begun
    if len(found) == 1:
        return Taken(stored=found[0], said=found[0].name)
    what = kinds[0] if len(kinds) == 1 else "result"
    others = [] if found else [one for one in everything(place.results) if one.group == text]
    if at is not None or others:
        other = at or others[0]
        raise InputError(
            f"a stored {what} is required; {str(name)!r} has none, but a {other.kind}, "
            f"{other.name}; make one first (delever {what}), or name another"
        )
    listed = [one.name for one in found or there]
    rest = len(listed) - _MOST_NAMED
    names = ", ".join(listed[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
    raise InputError(
        f"a stored {what} must be named by its folder, its id or a study; {str(name)!r} names "
        f"{'several' if found else 'none'}: {names or 'nothing is stored'}"
    )


def _names(one: Stored) -> tuple[str, ...]:
    """Whole names of something stored."""
    return (one.name, one.folder.name, one.id, f"{one.group}/{one.id}")


def _begins(one: Stored, text: str) -> bool:
    """Whether a text is the first letters of a name, up to some of the id's."""
    longer = (one.name, one.folder.name, f"{one.group}/{one.id}")
    reaching = (each for each in longer if len(text) > len(each) - len(one.id))
    return any(each.startswith(text) for each in (one.id, *reaching))


def _located(place: Workspace, path: Path) -> Stored | None:
    """What a path leads to: a folder of something stored, or a file in it."""
    for given in (path.expanduser(), place.root / path, place.results / path):
        if not given.exists():
            continue
        real = given.resolve()
        above = {real, *real.parents}
        for one in everything(place.results):
            if one.folder.resolve() in above:
                return one
        for folder in (real, real.parent):
            if is_complete(folder) and folder.is_dir():
                return read_stored(folder)
    return None


def _below(results: Path, name: Path | str) -> str:
    """Name of a folder below the results that a path leads to, such as a study's."""
    real = Path(name).expanduser().resolve()
    inside = real.is_dir() and results.resolve() in real.parents
    return real.relative_to(results.resolve()).as_posix() if inside else ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Runs(Result):
    """What is stored in a workspace.

    Attributes
    ----------
    frame : pandas.DataFrame
        A row for each, the newest first, by the name that `delever.result` and `delever.run` take:
        ``kind``, ``study`` (of a run or sweep, else a name), ``made`` (UTC), ``start``, ``end``,
        ``params``, ``headline``, ``page`` (its path), ``damage`` (empty when it is whole), and of
        runs ``total_return``, ``sharpe_ratio`` and ``max_drawdown`` of the whole run.
    results : Path
        The folder they are in.
    """

    frame: pd.DataFrame
    results: Path

    @property
    def headline(self) -> str:
        """How many there are of each kind, and how many are damaged."""
        kinds = self.frame["kind"].value_counts()
        seen = [_counted(int(kinds[kind]), kind) for kind in KINDS if kind in kinds]
        damaged = int((self.frame["damage"] != "").sum())
        said = f"Stored: {', '.join(seen) or 'nothing'}"
        return f"{said}; damaged: {damaged}." if damaged else f"{said}."

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Everything stored."""
        return {"results": self.frame}

    @property
    def summary(self) -> pd.DataFrame:
        """Everything stored, stamps and parameters as they are read."""
        return self.frame[["kind", "made", "start", "end", "params", "headline"]].assign(
            made=[f"{time:%Y-%m-%d %H:%M}" for time in self.frame["made"]],
            params=[params_text(row) for row in self.frame["params"]],
        )

    def html(self) -> str:
        """A page that links to each."""
        return render(self.frame)

    def to_dict(self) -> dict[str, Any]:
        """What ``delever runs --json`` prints."""
        return {"headline": self.headline, "results": plain(self.frame)}


def runs(
    *,
    kind: str | None = None,
    study: str | None = None,
    workspace: Workspace | Path | str | None = None,
) -> Runs:
    """List what is stored in a workspace: runs, sweeps, studies of signals, comparisons, and more.

    Parameters
    ----------
    kind : str, optional
        ``"run"``, ``"sweep"``, ``"walk"``, ``"signal"``, ``"comparison"``, ``"claims"`` or
        ``"state"``.
    study : str, optional
        Runs and sweeps of this study alone, or whatever else is called so.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    Runs
        ``dl.result(name)`` opens one of them.

    Raises
    ------
    InputError
        If there is no such kind.

    Notes
    -----
    Only the small files of facts are read. Of the others it is seen whether they are there and as
    long as they were; ``damage`` says which is not.

    Examples
    --------
    >>> import delever as dl
    >>> list(dl.runs(kind="run").frame)[:5]
    ['kind', 'study', 'made', 'start', 'end']
    """
    if kind is not None and kind not in KINDS:
        raise InputError(f"a kind must be one of {', '.join(KINDS)}; got {shown(kind)}")
    results = Workspace.find(workspace).results
    found = everything(results, KINDS if kind is None else (kind,), study or "")
    return Runs(frame=listing(found), results=results)


def _counted(number: int, kind: str) -> str:
    words = {"signal": "signal study", "claims": "audit of claims"}
    many = {"signal": "signal studies", "claims": "audits of claims"}
    return f"{number:,} {words.get(kind, kind) if number == 1 else many.get(kind, f'{kind}s')}"
