"""The holdout of a workspace: who looked at it, and the one run that may."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from delever.arguments import counted
from delever.data.holdout import FILE, Holdout, read_holdout
from delever.errors import InputError
from delever.study.kept.result import Result
from delever.study.ledger.tried import trials
from delever.study.runs.answering import Progress
from delever.study.runs.run import Run, run
from delever.study.workspaces.workspace import Workspace

_COLUMNS = ("look", "time", "by", "study", "why", "from")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Looks(Result):
    """A workspace's holdout, and every look that was taken at it.

    Attributes
    ----------
    since : pandas.Timestamp or None
        UTC: what was known later is held out; None without a holdout.
    frame : pandas.DataFrame
        A row per look: ``look``, ``time``, ``by``, ``study``, ``why``, ``from``.
    earlier : int
        Trials of the ledger from before ``data/holdout.toml`` was last written, which may have read
        what is held out.
    """

    since: pd.Timestamp | None
    frame: pd.DataFrame
    earlier: int = 0

    @property
    def headline(self) -> str:
        """What is held out, and how often it was looked at."""
        if self.since is None:
            return "Nothing is held out; write data/holdout.toml to hold something out."
        looks = counted(len(self.frame), "time") if len(self.frame) else "not yet"
        said = f"Rows from {self.since:%Y-%m-%d} on are held out, and were looked at {looks}."
        if self.earlier:
            said += (
                f" {counted(self.earlier, 'trial')} were made before the holdout was, and may have "
                "read them."
            )
        return said

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The looks."""
        return {"looks": self.frame}


def holdout(*, workspace: Workspace | Path | str | None = None) -> Looks:
    """What a workspace holds out, and who looked at it.

    Parameters
    ----------
    workspace : path, optional
        By default the one at or above the current folder.

    Raises
    ------
    ConfigError
        If ``data/holdout.toml`` says no day.

    Examples
    --------
    >>> import delever as dl
    >>> dl.holdout().headline
    'Nothing is held out; write data/holdout.toml to hold something out.'
    """
    place = Workspace.find(workspace, or_shipped=True)
    found = read_holdout(place.root / "data")
    rows = [] if found is None else found.looks
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    if found is None:
        return Looks(since=None, frame=frame)
    made = trials(workspace=place).frame
    written = pd.Timestamp((place.root / "data" / FILE).stat().st_mtime, unit="s", tz="UTC")
    earlier = int((pd.to_datetime(made["at"], utc=True) < written).sum()) if len(made) else 0
    return Looks(since=found.since, frame=frame, earlier=earlier)


def unseal(
    study: Path | str,
    *,
    why: str,
    progress: Progress = lambda step: None,
    workers: int = 1,
    workspace: Workspace | Path | str | None = None,
) -> Run:
    """Run a study over the holdout too, after recording the look.

    Parameters
    ----------
    study : path or str
        A study file.
    why : str
        The reason, which is recorded with the time, the user and the study.
    progress, workers
        As in `delever.run`.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    Run
        Stored; its page says which look it was, and always will.

    Raises
    ------
    InputError
        If nothing is held out, or no reason is given.
    ConfigError, StrategyError, DataError, SimulationError
        As `delever.run`; the look counts all the same.

    Examples
    --------
    >>> import delever as dl
    >>> dl.unseal("backtests/ma200w_break.toml", why="the last step")  # doctest: +SKIP
    """
    place = Workspace.find(workspace)
    path = place.study(Path(study))
    found: Holdout | None = read_holdout(place.root / "data")
    if found is None:
        raise InputError(
            f"unseal needs a holdout; {place.root / 'data' / 'holdout.toml'} is not there"
        )
    opened = replace(place, opened=found.unsealed(path.stem, why))
    return run(path, workers=workers, progress=progress, workspace=opened)
