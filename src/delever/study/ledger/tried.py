"""What was ever tried on a market, listed and explained: ``dl.trials``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from delever.arguments import counted
from delever.errors import InputError
from delever.study.inputs.fingerprint import anchors, is_one
from delever.study.inputs.market import Bars, market
from delever.study.kept.result import Result
from delever.study.ledger.ledger_lines import read_looks
from delever.study.ledger.trial_blocks import NO_IDS, joined_ids, unknown
from delever.study.ledger.trials import (
    MARKETS,
    Known,
    merge,
    read_markets,
    read_trials,
)
from delever.study.workspaces.workspace import Workspace

_BY = {"run": "a run", "sweep": "a sweep", "notebook": "a notebook", "walk": "a walk"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Trials(Result):
    """Everything ever tried on the markets of a workspace.

    Attributes
    ----------
    markets : pandas.DataFrame
        A row per market: ``data`` (the names it came under), ``trials``, ``run``, ``sweep``,
        ``walk`` and ``notebook`` (what made them first), ``since`` (when the first was made, UTC),
        ``file``.
    frame : pandas.DataFrame
        A row per trial, or per many of a sweep that differ in their parameters: ``market``,
        ``at`` (when, UTC), ``by``, ``study``, ``data``, ``strategy``, ``params`` (of many: the
        values they have), ``costs``, ``account``, ``timeframe``, ``start``, ``end`` (None: that of
        the data) and ``trials`` (how many it is).
    signals : pandas.DataFrame
        A row per look of a signal study: ``market``, ``at``, ``signal`` (with its parameters),
        ``horizon`` (bars held), ``data``, ``timeframe`` and ``end`` (of the data looked at). They
        have p-values of their own and are not among the trials that deflate a Sharpe ratio.
    folder : Path
        Where the ledger is.
    added : int or None
        Trials that came from another ledger; None where none was merged.
    """

    markets: pd.DataFrame
    frame: pd.DataFrame
    signals: pd.DataFrame
    folder: Path
    added: int | None = None

    @property
    def headline(self) -> str:
        """How many trials there are, on how many markets, and what counts as one."""
        said = "" if self.added is None else f"{counted(self.added, 'trial')} merged. "
        if self.frame.empty and self.signals.empty:
            return f"{said}Nothing was ever tried here, or the ledger was deleted."
        if self.frame.empty:
            return f"{said}No trial of a strategy. {self._asked}"
        counts = self.frame.groupby("by")["trials"].sum().sort_values(ascending=False)
        made = ", ".join(
            f"{number:,} first by {_BY.get(str(by), by)}" for by, number in counts.items()
        )
        since = str(self.frame["at"].min())[:10]
        every = counted(int(counts.sum()), "trial")
        return (
            f"{said}{every} on {counted(len(self.markets), 'market')} "
            f"since {since}: {made}. A trial is a strategy's source with its parameters, costs, "
            f"account and span; the same again is the same trial. {self._asked}"
        ).rstrip()

    @property
    def _asked(self) -> str:
        """How often signals were looked at."""
        if self.signals.empty:
            return ""
        distinct = len(self.signals.drop_duplicates(["market", *_QUESTION]))
        return (
            f"Signal studies put {counted(distinct, 'question')}, a signal with its parameters and "
            f"a horizon, in {counted(len(self.signals), 'look')}: they have p-values of their own "
            "and deflate no Sharpe ratio."
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """``markets``, ``trials`` and ``signals``."""
        return {"markets": self.markets, "trials": self.frame, "signals": self.signals}

    def to_dict(self) -> dict[str, Any]:
        """What ``delever trials --json`` prints."""
        return {
            "headline": self.headline,
            "folder": str(self.folder),
            "added": self.added,
            "markets": self.markets.reset_index().to_dict("records"),
            "trials": self.frame.reset_index().to_dict("records"),
            "signals": self.signals.reset_index().to_dict("records"),
        }


def trials(
    data: Bars | None = None,
    *,
    merge_from: Path | str | None = None,
    workspace: Workspace | Path | str | None = None,
) -> Trials:
    """List everything ever tried, and on which market.

    Every run of a study, every combination of a sweep or walk, every backtest of a notebook and
    every column it screens in a workspace is written into its ledger, ``backtests/trials``; beside
    them every look of a signal study: a signal with its parameters, and a horizon.
    Whoever picks the best of many picks luck, so pages of runs and sweeps show how many there
    were.

    Parameters
    ----------
    data : str, Dataset or pandas.DataFrame, optional
        Only what was tried on this market: a reference, a data set, or bars. A market is known by
        its prices: it is the same under another name, in another file or timeframe, downloaded
        again, or grown.
    merge_from : path, optional
        Another workspace, or its ledger, whose trials are appended first; those that both have
        stay one.
    workspace : path, optional
        By default the one at or above the current folder.

    Raises
    ------
    InputError
        If there is no workspace, or `data` is none.
    NotStoredError
        If a data set is not stored.
    StoreError
        If there is no ledger to merge, or one cannot be read or written.

    Notes
    -----
    Of a trial the strategy's source, its parameters, costs, account, timeframe and span are kept,
    and each is one trial however often it is made. A strategy that is edited is another one. Bars
    of another venue are another market: their prices differ. Deleting the files forgets the
    trials, and nothing else does; the day of the first trial shows it.

    Examples
    --------
    >>> import delever as dl
    >>> dl.trials("sample/ohlcv/BTC/USD/1d").headline  # doctest: +SKIP
    '8 trials on 1 market since 2026-11-29: 8 first by a sweep. ...'
    """
    place = Workspace.find(workspace)
    folder = place.trials
    added = None
    if merge_from is not None:
        other = Path(merge_from).expanduser().resolve()
        inner = other / "backtests" / "trials"
        source = inner if (inner / MARKETS).is_file() else other
        if source == folder.resolve():
            raise InputError(f"a ledger is merged into another; {source} is this one")
        added = merge(folder, source)
    known = read_markets(folder)
    if data is not None:
        if isinstance(data, pd.DataFrame):
            bars = data
            if not (
                isinstance(bars.index, pd.DatetimeIndex)
                and "open" in bars
                and pd.api.types.is_numeric_dtype(bars["open"])
            ):
                raise InputError("data must be bars with open prices, indexed by time in UTC")
        else:
            bars = market(data, workspace=place).bars
        found = anchors(bars)
        known = [each for each in known if is_one(found, each.anchors)]
    rows, seen = [], NO_IDS
    for each in known:
        for trial, ids in read_trials(folder, each.id):
            new = ids[unknown(ids, seen)]
            if len(new):
                rows.append({"market": each.id, **_told(trial), "trials": len(new)})
        if data is not None:  # all of them are one market
            seen = joined_ids([seen, *(ids for _, ids in read_trials(folder, each.id))])
    frame = pd.DataFrame(rows, columns=list(_COLUMNS)).set_index("id")
    looks = [{"market": each.id, **one} for each in known for one in read_looks(folder, each.id)]
    signals = pd.DataFrame(looks, columns=list(_LOOKS)).set_index("id")
    return Trials(
        markets=_markets(known, frame, folder),
        frame=frame,
        signals=signals[~signals.index.duplicated()],
        folder=folder,
        added=added,
    )


_QUESTION = ("question", "timeframe")
_LOOKS = ("id", "market", "at", "signal", "horizon", "data", "end", *_QUESTION)
_COLUMNS = (
    *("id", "market", "at", "by", "study", "data", "strategy", "params", "costs", "account"),
    *("timeframe", "start", "end", "trials"),
)


def _told(trial: Mapping[str, Any]) -> dict[str, Any]:
    return {**trial, "strategy": trial["strategy"]["name"]}


def _markets(known: list[Known], frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    rows = []
    for each in known:
        own = frame[frame["market"] == each.id]
        made = own.groupby("by")["trials"].sum()
        rows.append(
            {
                "market": each.id,
                "data": ", ".join(each.references),
                "trials": int(own["trials"].sum()),
                **{by: int(made.get(by, 0)) for by in _BY},
                "since": str(own["at"].min())[:10] if len(own) else "",
                "file": str(folder / f"{each.id}.jsonl"),
            }
        )
    columns = ["market", "data", "trials", *_BY, "since", "file"]
    return pd.DataFrame(rows, columns=columns).set_index("market")
