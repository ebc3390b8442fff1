"""A strategy of whatever a notebook calls one: a name, a path, a function, exposures, signals."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from delever.arguments import counted, shown
from delever.engine.orders import Target
from delever.errors import InputError
from delever.research.decision import Decided
from delever.study.workspaces.strategy import Strategy, function_strategy
from delever.study.workspaces.workspace import Workspace

Given: TypeAlias = (
    "str | Path | Strategy | Callable[..., Decided] | Decided | tuple[pd.Series, pd.Series]"
)
"""What a notebook may call a strategy."""


def strategy(
    given: str | Path | Callable[..., Decided],
    *,
    workspace: Workspace | Path | str | None = None,
) -> Strategy:
    """Load a strategy by name or path, or make one of a function.

    Parameters
    ----------
    given : str, path or callable
        Stem of a file in ``strategies/``, a path, or a function from a market and typed
        keyword-only parameters to target exposures.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    Strategy
        Called with a market and parameters it answers with target exposures, one per bar.

    Raises
    ------
    ConfigError
        If there is no such file; the message lists those there are.
    StrategyError
        If the file does not run, or its function has a signature no study could fill in.

    Examples
    --------
    >>> import delever as dl
    >>> dl.strategy("ma200w_break").bind({"weeks": 100})["weeks"]
    100
    """
    made = as_strategy(given, workspace=workspace)
    if isinstance(made, Strategy):
        return made
    raise InputError(f"a strategy must be a name, a path or a function; got {shown(given)}")


def as_strategy(
    given: Given, *, workspace: Workspace | Path | str | None = None
) -> Strategy | Target:
    """A strategy, or target exposures, of whatever a notebook calls one.

    Raises InputError if it is none of the kinds, or entries and exits are not booleans on one
    index.
    """
    if isinstance(given, Strategy | pd.Series | pd.DataFrame):
        return given
    if isinstance(given, str | Path):
        return Workspace.find(workspace, or_shipped=True).strategy(str(given))
    if inspect.isfunction(given):
        return function_strategy(given)
    if isinstance(given, tuple) and len(given) == 2:
        return _held(*given)
    raise InputError(
        "strategy must be a name, a path, a loaded strategy, a function, a Series of exposures, a "
        "DataFrame of them and orders, or a pair of boolean Series (entries, exits); got "
        f"{shown(given)}"
    )


def called(strategy: Strategy | Decided) -> str:
    """What a strategy, or exposures in its place, go by."""
    name = None if isinstance(strategy, pd.DataFrame) else strategy.name
    return str(name or "exposures")


def _held(entries: object, exits: object) -> pd.Series:
    """Exposure 1 from an entry to the next exit; where both are true nothing changes."""
    for role, flags in (("entries", entries), ("exits", exits)):
        if not isinstance(flags, pd.Series) or flags.dtype != bool:
            raise InputError(f"{role} must be a Series of booleans; got {shown(flags)}")
    assert isinstance(entries, pd.Series)
    assert isinstance(exits, pd.Series)
    if not entries.index.equals(exits.index):
        raise InputError(
            f"entries and exits must stand on one index; got {len(entries)} and "
            f"{counted(len(exits), 'row')}, "
            "or other labels; reindex one"
        )
    asked = pd.Series(float("nan"), index=entries.index)
    asked[entries & ~exits], asked[exits & ~entries] = 1.0, 0.0
    return asked.ffill().fillna(0.0).rename("entries and exits")
