"""What if: the same decisions without funding, at another leverage, other costs, or later."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from delever.arguments import shown
from delever.engine.backtest import Backtest, rerun
from delever.engine.orders import arguments_of, exposures_in, rows_of
from delever.engine.portfolio import PortfolioBacktest
from delever.engine.settings import Account
from delever.errors import DeleverError, InputError
from delever.research.evaluation import Evaluation, scope_masks
from delever.research.joint_runs import accounts_of, changed
from delever.stats.drawdowns import max_drawdown
from delever.stats.returns import bar_returns, total_return

AS_RUN = "as run"
"""Name of the run itself beside its counterfactuals."""

_FORMS = "'funding off', 'leverage 1x', 'costs x2' or '1 bar later', with any numbers"
_NUMBER = r"(\d+(?:\.\d+)?)"
_NEIGHBOUR = re.compile(r"(?P<parameter>\w+) (?P<value>\S+) instead of (?P<was>\S+)")


class Counterfactual(NamedTuple):
    """What is changed: no funding, the leverage, how often the costs are paid, or the delay."""

    funding_off: bool = False
    leverage: float | None = None
    costs_times: float | None = None
    bars_later: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WhatIf:
    """Counterfactuals of one run, bar by bar."""

    initial_equity: float  # of all of them, quote units
    # shape (bars x counterfactuals, 3): indexed by ``open_time``, one counterfactual after the
    # other: ``name`` ("costs x2"), ``equity`` at the close, ``liquidations`` in the bar
    paths: pd.DataFrame
    # those that cannot be, by name, and why
    refused: Mapping[str, str] = field(default_factory=dict)

    def joined(self, others: WhatIf) -> WhatIf:
        """These counterfactuals and others of the same run."""
        return replace(
            self,
            paths=pd.concat([self.paths, others.paths]) if len(others.paths) else self.paths,
            refused={**self.refused, **others.refused},
        )


def parse_counterfactual(text: str) -> Counterfactual:
    """Read a change as people say it.

    Raises InputError if it says none of these, or a leverage below 1.
    """
    if not isinstance(text, str):
        raise InputError(f"a counterfactual must be {_FORMS}; got {shown(text)}")
    if text == "funding off":
        return Counterfactual(funding_off=True)
    if found := re.fullmatch(rf"leverage {_NUMBER}x", text):
        leverage = float(found[1])
        if leverage >= 1.0:
            return Counterfactual(leverage=leverage)
        raise InputError(f"a counterfactual's leverage must be 1x or more; got {text!r}")
    if found := re.fullmatch(rf"costs x{_NUMBER}", text):
        return Counterfactual(costs_times=float(found[1]))
    if found := re.fullmatch(r"([1-9]\d{0,3}) bars? later", text):
        return Counterfactual(bars_later=int(found[1]))
    raise InputError(f"a counterfactual must be {_FORMS}; got {text!r}")


def usual_counterfactuals(run: Backtest) -> tuple[str, ...]:
    """Counterfactuals that can change a run."""
    accounts = accounts_of(run) if isinstance(run, PortfolioBacktest) else [run.account]
    traded = [each for each in accounts if each is not None and each.contract is not None]
    out = ["costs x2", "1 bar later"]
    if any(account.leverage > 1.0 for account in traded):
        out.insert(0, "leverage 1x")
    if any(account.funding is not None for account in traded):
        out.insert(0, "funding off")
    return tuple(out)


def run_counterfactual(run: Backtest, change: Counterfactual) -> Backtest:
    """Run the same decisions over the same bars once more, with one thing changed.

    Raises InputError if the run has no margin account where leverage or funding are to change, a
    bracket does not allow the leverage, or the run does not know its bars (see `rerun`).
    """
    if change == Counterfactual():
        raise InputError(f"a counterfactual must change something: {_FORMS}; got no change")
    if isinstance(run, PortfolioBacktest):
        return changed(run, **change._asdict())
    account = None if run.account is None else replace(run.account, bounds=False)
    if change.costs_times is not None:
        return rerun(run, account=account, costs=run.costs.stressed(change.costs_times))
    if change.bars_later:
        return rerun(run, account=account, **_delayed(run, change.bars_later))
    if account is None:
        raise InputError(
            "a spot run has neither funding nor leverage to change; give backtest an account"
        )
    if change.leverage is not None:
        return rerun(run, **_at_leverage(run, account, change.leverage))
    unpaid = replace(account, funding=None, funding_policy="missing-is-zero")
    return rerun(run, account=unpaid)


def what_if(run: Backtest, names: Sequence[str] | None = None) -> WhatIf:
    """Run counterfactuals and keep what they came to.

    Raises InputError if a name says no change.
    """
    runs: dict[str, Backtest | DeleverError] = {}
    for name in usual_counterfactuals(run) if names is None else names:
        change = parse_counterfactual(name)
        try:
            runs[name] = run_counterfactual(run, change)
        except DeleverError as error:
            runs[name] = error
    return kept(run.initial_equity, runs)


def kept(initial_equity: float, runs: Mapping[str, Backtest | DeleverError]) -> WhatIf:
    """What is kept of runs that might have been, and why others cannot be."""
    refused = {name: str(run) for name, run in runs.items() if isinstance(run, DeleverError)}
    parts: list[pd.DataFrame] = []
    for name, other in runs.items():
        if isinstance(other, DeleverError):
            continue
        forced = other.fills.loc[other.fills["reason"] == "liquidation", "time"]
        counts = forced.value_counts().reindex(other.ledger.index, fill_value=0)
        parts.append(
            pd.DataFrame(
                {"name": name, "equity": other.equity, "liquidations": counts.astype("int64")}
            )
        )
    return WhatIf(
        initial_equity=initial_equity,
        paths=pd.concat(parts).astype({"name": "str"}) if parts else no_paths(),
        refused=refused,
    )


def neighbour_name(parameter: str, value: float, was: float) -> str:
    """What the run of a neighbouring parameter is called."""
    return f"{parameter} {value:.12g} instead of {was:.12g}"


def is_neighbour(name: str) -> bool:
    """Whether a counterfactual asked the strategy again, with a neighbouring parameter."""
    return _NEIGHBOUR.fullmatch(name) is not None


def no_paths() -> pd.DataFrame:
    """Paths of no counterfactual."""
    columns = {"name": "str", "equity": "float64", "liquidations": "int64"}
    index = pd.DatetimeIndex([], tz="UTC", name="open_time").as_unit("ns")
    return pd.DataFrame(columns=list(columns), index=index).astype(columns)


def counterfactual_outcomes(evaluation: Evaluation, found: WhatIf) -> pd.DataFrame:
    """What a run and its counterfactuals came to over the bars of an evaluation."""
    run = evaluation.backtest
    index = pd.DatetimeIndex(run.ledger.index)
    forced = int((run.fills["reason"] == "liquidation").sum())
    rows = {AS_RUN: _came_to(run.equity, run.initial_equity, forced, evaluation)}
    for name, path in found.paths.groupby("name", sort=False):
        earlier = path.loc[path.index < index[0], "equity"]
        start = float(earlier.iloc[-1]) if len(earlier) else found.initial_equity
        part = path.loc[index]
        count = int(part["liquidations"].sum())
        rows[str(name)] = _came_to(part["equity"], start, count, evaluation)
    rows |= {name: dict.fromkeys(rows[AS_RUN], np.nan) for name in found.refused}
    table = pd.DataFrame(rows, dtype="float64").T.rename_axis(index="counterfactual")
    return table.assign(final_equity=found.initial_equity * (1.0 + table["total_return"]))


def _at_leverage(run: Backtest, account: Account, leverage: float) -> dict[str, Any]:
    """Arguments of a run at another leverage, its targets scaled down where they lie beyond it."""
    if run.request is None:
        return {}  # what is missing is said by rerun
    rows = rows_of(run.request["target_exposure"], run.request["initial_target"])
    asked = exposures_in(rows)
    rows = rows.drop(columns="leverage", errors="ignore")  # this one is everybody's
    most = float(np.nanmax(rows[asked].abs().to_numpy())) * account.exposure
    account, index = replace(account, leverage=leverage), run.request["target_exposure"].index
    if most <= leverage:
        return {"account": account, **arguments_of(rows, index)}
    share = account.exposure * leverage / most
    rows[asked] = (rows[asked] * share).clip(-leverage, leverage)
    return {"account": replace(account, exposure=1.0), **arguments_of(rows, index)}


def _delayed(run: Backtest, bars: int) -> dict[str, Any]:
    """Arguments of a run whose decisions are filled later; before the first it is flat."""
    if run.request is None:
        return {}  # what is missing is said by rerun
    target = run.request["target_exposure"]
    rows = rows_of(target, run.request["initial_target"])
    late = rows.shift(bars)
    late[exposures_in(rows)[0]] = late[exposures_in(rows)[0]].fillna(0.0)
    return arguments_of(late, target.index)


def _came_to(
    equity: pd.Series, start: float, liquidations: int, evaluation: Evaluation
) -> dict[str, float]:
    """What one path came to, measured against the benchmark as a run is by `protection`."""
    returns, other = bar_returns(equity, start), evaluation.benchmark.returns.to_numpy()
    masks = scope_masks(
        pd.DatetimeIndex(equity.index), evaluation.backtest.timeframe, evaluation.periods
    )
    saved = [
        total_return(returns[masks[period.id]]) - total_return(other[masks[period.id]])
        for period in evaluation.periods
    ]
    with np.errstate(divide="ignore"):
        outside = np.sum(np.log1p(returns) - np.log1p(other), where=masks["outside"])
    return {
        "total_return": total_return(returns),
        "points_saved": float(np.mean(saved)) if saved else np.nan,
        "growth_outside": float(np.expm1(outside / evaluation.years)),
        "max_drawdown": max_drawdown(returns),
        "liquidations": float(liquidations),
    }
