"""The same strategy with one parameter a step beside its own: a plateau, or a peak."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from delever.engine.backtest import Backtest, rerun
from delever.engine.orders import arguments_of, decided_before, exposure_of, rows_of
from delever.errors import DeleverError
from delever.research.decision import Decided
from delever.research.what_if import WhatIf, kept, neighbour_name, what_if
from delever.study.runs.simulation import target_of
from delever.study.workspaces.strategy import Strategy
from delever.view import MarketView

_STEP = 0.1


def steps(params: Mapping[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Each number among parameters, its value a step down and a step up.

    A step is a tenth of the value, of a whole number rounded to at least 1; what is 0 has none.
    """
    for name, value in params.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value:
            continue
        if isinstance(value, int):
            step = max(1, round(_STEP * abs(value)))
            beside: tuple[float, float] = (value - step, value + step)
        else:  # to the digits that its name shows: 0.15 + 0.015 is 0.16499999999999998
            low, high = ((1 - _STEP) * value, (1 + _STEP) * value)
            beside = (float(f"{low:.12g}"), float(f"{high:.12g}"))
        yield from ((name, each, value) for each in sorted(beside))


def counterfactuals_of(
    run: Backtest,
    market: MarketView,
    strategy: Strategy | Decided,
    params: Mapping[str, Any],
    names: Sequence[str] | None = None,
) -> WhatIf:
    """The counterfactuals of these names; by default the usual ones, joined by its neighbours."""
    found = what_if(run, names)
    if names is not None or not isinstance(strategy, Strategy):
        return found
    return with_neighbours(found, market, strategy, params, run)


def with_neighbours(
    found: WhatIf,
    market: MarketView,
    strategy: Strategy,
    params: Mapping[str, Any],
    run: Backtest,
) -> WhatIf:
    """Counterfactuals of a run, joined by its neighbours over the same bars.

    Until a neighbour with a longer window decides anything, it does what the run did: being flat
    meanwhile would say more of those bars than of the parameter.
    """
    assert run.request is not None
    index = run.ledger.index
    first = run.request["initial_target"]
    decided = rows_of(run.request["target_exposure"], first)
    begin = int(market.index.searchsorted(index[0]))
    account = None if run.account is None else replace(run.account, bounds=False)
    runs: dict[str, Backtest | DeleverError] = {}
    for parameter, value, was in steps(params):
        if not strategy.allows({**params, parameter: value}):
            continue  # beyond a bound there is no rule to be beside
        name = neighbour_name(parameter, value, was)
        try:
            target = target_of(market, strategy, {**params, parameter: value})
            own = target.iloc[begin : begin + len(index)]
            known = begin and not np.isnan(exposure_of(target).iloc[begin - 1])
            rows = rows_of(own, decided_before(target, begin) if known else first)
            silent = np.append(not known, exposure_of(own).isna())
            names = rows.columns.union(decided.columns)
            there = np.broadcast_to(~silent[:, None], (len(rows), len(names)))
            rows = rows.reindex(columns=names).where(there, decided.reindex(columns=names))
            runs[name] = rerun(run, account=account, **arguments_of(rows, index))
        except DeleverError as error:
            runs[name] = error
    return found.joined(kept(run.initial_equity, runs))
