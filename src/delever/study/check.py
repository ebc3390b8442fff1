"""Check a strategy file: its contract, its units, and whether it sees the future."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delever.errors import StrategyError
from delever.research.contract import Finding, check_strategy
from delever.study.strategy import load_strategy
from delever.study.trial import view
from delever.study.workspace import Workspace

__all__ = ["check_file"]


def check_file(
    path: Path, *, params: Mapping[str, Any], data: str, workspace: Workspace
) -> list[Finding]:
    """Run the checks that every strategy must pass.

    Parameters
    ----------
    path : pathlib.Path
        The strategy file.
    params : mapping
        Its parameters; defaults for the rest.
    data : str
        Reference of the bars to check on.
    workspace : Workspace
        Where the bars are.

    Returns
    -------
    list of Finding
        Empty when the strategy passes.

    Raises
    ------
    StrategyError
        If the file does not load, or the strategy never leaves its warm-up on these bars: then
        nothing would be proven.
    """
    strategy = load_strategy(path)
    bound = strategy.bind(params)
    market = view(workspace.catalog.load(data))
    findings = check_strategy(
        strategy, market, parameters=bound, price_parameters=strategy.price_parameters
    )
    if not findings and strategy.target(market, bound).isna().all():
        raise StrategyError(
            f"{path}: {strategy.name} decides nothing on the {len(market.index)} bars of {data}; "
            "check it on longer data (--data) or with shorter windows (--set weeks=20)"
        )
    return findings
