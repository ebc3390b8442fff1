"""What a sweep comes to: the best combination, its plateau, the benchmark beside it, its luck."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delever.arguments import Rows, counted
from delever.bars import close_times
from delever.engine.backtest import Backtest
from delever.engine.orders import EXPOSURE, Target
from delever.engine.sweep_accounts import SWEPT_ACCOUNT
from delever.engine.sweep_metrics import PART_SUMS, SWEPT, column_name, part_names
from delever.errors import DeleverError
from delever.memo import shared_work
from delever.report.format import percent
from delever.research.choosing import Tried, choosing
from delever.research.deflation import Deflation, Family, deflate
from delever.research.evaluation import sample_of
from delever.research.finalists import Finalists, finalists, finalists_of, tested_from
from delever.research.plateau import neighbours_median, terrain
from delever.research.swept import NEIGHBOURS, RANKED_BY
from delever.stats.metric import SCOPES
from delever.stats.returns import total_return
from delever.study.ledger.trials import Ledger
from delever.study.settings.grid import Grid
from delever.study.sweeps.chunk import SweepGround
from delever.study.sweeps.ground import Flags, in_parts, scoped
from delever.study.sweeps.joint_ground import JointGround
from delever.study.sweeps.sweep_result import Sweep
from delever.study.sweeps.swept_columns import SweptColumns
from delever.study.workspaces.any_strategy import called
from delever.venues.costs import VenueFees

_FEW = 3
"""Values of an axis that are all named; of more, the ends."""
_REPEATED = 1e-6
"""By how much one combination may differ in its return, among many and by itself."""
MOST_JUDGED = 10_000
"""Combinations that luck and choosing are found from; of more, as many drawn at random."""


def concluded(
    ground: SweepGround | JointGround,
    columns: SweptColumns,
    chosen: Grid,
    combination: Callable[[Mapping[str, Any]], Any],
    *,
    name: str,
    data: str,
    fixed: Mapping[str, Any],
    manifest: Mapping[str, Any],
    n_trials: int,
    ledger: Ledger | None,
    family: str,
    folder: Path | None = None,
    resumed: int = 0,
) -> Sweep:
    """What the rows of all combinations come to; the ledger is told what its `family` is worth."""
    axes = chosen.axes
    frame = columns.read(columns.small(axes, len(chosen)))
    costs = [axis for axis in axes if axis.startswith("costs.")]
    beside = neighbours_median(frame, axes, RANKED_BY, given=costs)
    frame.insert(list(frame).index(RANKED_BY) + 1, NEIGHBOURS, beside)
    found = Sweep(
        name=name,
        frame=frame,
        axes=axes,
        manifest={
            **manifest,
            "n_trials": n_trials,
            "asked": chosen.asked,
            "failed": int((frame["error"] != "").sum()),
            "notes": [*ground.notes, *_path(ground, axes)],
        },
        about=_about(ground, axes, data, fixed, frame, n_trials),
        columns=columns,
        terrain=terrain(frame[RANKED_BY].to_numpy(dtype=np.float64), beside),
        folder=folder,
        n_trials=n_trials,
        asked=chosen.asked,
        resumed=resumed,
    )
    if found.terrain is None:
        return found
    with shared_work():  # the best and the finalists look at the same bars
        return _judged(found, ground, chosen, combination, ledger, family)


def _judged(
    found: Sweep,
    ground: SweepGround | JointGround,
    chosen: Grid,
    combination: Callable[[Mapping[str, Any]], Any],
    ledger: Ledger | None,
    family: str,
) -> Sweep:
    """With the benchmark, and what luck and choosing come to."""
    assert found.terrain is not None
    frame, parts = found.frame, ground.parts
    one = combination(chosen[found.terrain.peak])
    answer = ground.asked(one)
    if isinstance(answer, DeleverError):  # it answered before: the strategy is not repeatable
        raise answer
    begin = answer[1]
    path = _path(ground, chosen.axes, ordered=_with_orders(answer[0]))
    returns, held = ground.returns(one, *answer), ground.beside(one, begin)
    doubts = _repeated(float(frame["total_return"].iloc[found.terrain.peak]), returns)
    known = np.flatnonzero(frame[RANKED_BY].notna().to_numpy())
    drawn = _drawn(known)
    # The best was found among all: it counts for its luck, and has no place among those drawn.
    judged = np.union1d(drawn, [found.terrain.peak])
    apart = np.isin(judged, drawn)
    own = found.columns.numbers(part_names(parts.rows), judged)
    tried = Tried(
        parts=parts,
        sums=own.reshape(len(own), -1, len(PART_SUMS)),
        begins=ground.market.index.get_indexer(pd.Index(frame["start"].iloc[judged])),
        benchmark=in_parts(held, parts, begin),
        periods_per_year=sample_of(held, None).periods_per_year,
    )
    others = tried if apart.all() else tried.some(apart)
    if len(drawn) < len(known):
        part = counted(len(drawn), "combination")
        path.append(
            f"luck, and what choosing comes to, are found from {part} drawn at random; the "
            "effective number of trials is taken to grow on as from a quarter of them to all"
        )
    return replace(
        found,
        manifest={**found.manifest, "notes": [*doubts, *ground.notes, *path]},
        benchmark=_measured(held, ground.scopes(*answer), ground.benchmark_name),
        choosing=choosing(others).of_rows(drawn),
        finalists=_finalists(
            ground, others, drawn, chosen, combination, {found.terrain.peak: returns}
        ),
        deflation=_deflated(
            returns,
            held.returns,
            Family(
                tried=tried,
                ratios=frame[RANKED_BY].to_numpy(dtype=np.float64)[judged],
                best=int(np.searchsorted(judged, found.terrain.peak)),
                made=found.n_trials,
                alike=len(known) - len(judged),
                elsewhere=0.0,
            ),
            ledger,
            family,
        ),
    )


def _drawn(known: Rows) -> Rows:
    """Combinations that statistics are made of: all of them, of very many a part."""
    if len(known) <= MOST_JUDGED:
        return known
    return np.sort(np.random.default_rng(0).choice(known, MOST_JUDGED, replace=False))


def _deflated(
    returns: pd.Series, held: pd.Series, trials: Family, ledger: Ledger | None, name: str
) -> Deflation | None:
    """Deflate the best by all trials of the market; the ledger is told what these are worth."""
    if ledger is not None:
        trials = replace(trials, elsewhere=ledger.elsewhere())
    found = deflate(returns.to_numpy(dtype=np.float64), held.to_numpy(dtype=np.float64), trials)
    if found is not None and ledger is not None:
        many = len(trials.ratios) + trials.alike
        ledger.worth(name, many, found.effective - trials.elsewhere)
    return found


def _repeated(swept: float, again: pd.Series) -> list[str]:
    """What is said of a best combination that comes out otherwise when it is run again."""
    now = total_return(again)
    if np.isclose(swept, now, rtol=_REPEATED, atol=_REPEATED):
        return []
    return [
        "not repeatable: the best combination had a total return of "
        f"{percent(swept)} in the sweep, {percent(now)} when the strategy was asked again; seed "
        "what is random in it, or no figure here stands"
    ]


def _path(
    ground: SweepGround | JointGround, axes: Sequence[str], *, ordered: bool = False
) -> list[str]:
    """Why combinations were run, or the strategy was asked, one by one."""
    whys = ["the strategy's orders" if ordered else ""]
    if not isinstance(ground, JointGround):
        banded = [axis for axis in axes if axis == "account.rebalance_band"]
        whys = [ground.why_alone, *(axis.removeprefix("account.") for axis in banded), *whys]
    if not (why := ", ".join(dict.fromkeys(filter(None, whys)))):
        return list(ground.asking.notes)
    return [
        "each combination was run by itself, which takes as long as a backtest: many accounts at "
        f"once do not cover {why}"
    ]


def _with_orders(target: Target) -> bool:
    """Whether orders stand beside exposures: of one symbol, or of several."""
    return isinstance(target, pd.DataFrame) and (EXPOSURE in target or target.columns.nlevels > 1)


def _finalists(
    ground: SweepGround | JointGround,
    tried: Tried,
    rows: Rows,
    chosen: Grid,
    combination: Callable[[Mapping[str, Any]], Any],
    ran: Mapping[int, pd.Series],
) -> Finalists | None:
    """The best of the first half, run bar by bar and tested on the second; `ran` are known."""
    picked, begin = finalists_of(tried), tested_from(tried)
    index = ground.market.index[begin:]
    if len(picked) < 2 or not len(index):
        return None
    made = []
    for row in picked:
        returns = ran.get(int(rows[row]))
        if returns is None:
            one = combination(chosen[rows[row]])
            answer = ground.asked(one)
            if isinstance(answer, DeleverError):
                raise answer
            returns = ground.returns(one, *answer)
        made.append(returns.reindex(index).to_numpy())
    held = ground.beside(combination(chosen[rows[picked[0]]]), begin)
    found = finalists(tried, picked, np.column_stack(made), held.returns.to_numpy())
    return None if found is None else found.of_rows(rows)


def _measured(held: Backtest, scopes: Mapping[str, Flags], name: str) -> pd.Series:
    """Metrics of the benchmark under the names of a sweep's columns."""
    names = [
        column_name(scope, each.name) for scope in SCOPES for each in SWEPT if scope in each.scopes
    ]
    row = pd.Series(scoped(sample_of(held, None), scopes, SWEPT), index=names, name=name)
    row["liquidations"] = float((held.fills["reason"] == "liquidation").sum())
    return row


def _about(
    ground: SweepGround | JointGround,
    axes: Sequence[str],
    data: str,
    fixed: Mapping[str, Any],
    frame: pd.DataFrame,
    n_trials: int,
) -> dict[str, str]:
    """What the head of the page says: what was swept, on what, and how much of it."""
    own = {axis.removeprefix("params.") for axis in axes}
    params = ", ".join(f"{key} {value}" for key, value in fixed.items() if key not in own)
    index, first = ground.market.index, min(ground.first, len(ground.market.index) - 1)
    last = close_times(index[-1:], ground.market.timeframe)[0]
    varied = ", ".join(axis.removeprefix("params.") for axis in axes)
    swept = {axis: _values(frame[axis], axis) for axis in axes if "." in axis}
    return {
        "Strategy": f"{called(ground.strategy)}{f' with {params}' if params else ''}".replace(
            "_", " "
        ),
        "Varied": varied,
        "Data": data,
        "Bars": f"{index[first]:%Y-%m-%d} to {last:%Y-%m-%d}, {len(index) - first:,} of "
        f"{ground.market.timeframe}",
        "Account": _account_words(ground, swept),
        "Costs of a fill": _costs_words(ground, swept),
        "Combinations": f"{len(frame):,}",
        "Trials ever made on these data": f"{n_trials:,}",
    }


def _account_words(ground: SweepGround | JointGround, swept: Mapping[str, str]) -> str:
    if isinstance(ground, JointGround):
        margin = ground.joint.margin.mode.replace("_", " ")
        said = f"{counted(len(ground.market), 'symbol')}, margin {margin}"
    elif (account := ground.account) is None:
        said = "spot"
    else:
        contract = getattr(account.contract, "symbol", account.contract) or "spot held on margin"
        said = f"{contract}, {account.margin_mode}"
        if "account.leverage" not in swept:
            said += f", leverage {account.leverage:g}x"
    varied = [
        f"{key.replace('_', ' ')} {swept[axis]}"
        for table, keys in (("account", SWEPT_ACCOUNT), ("portfolio", _names(swept)))
        for key in keys
        if (axis := f"{table}.{key}") in swept
    ]
    return ", ".join([said, *varied])


def _names(axes: Iterable[str]) -> list[str]:
    return [axis.partition(".")[2] for axis in axes]


def _costs_words(ground: SweepGround | JointGround, swept: Mapping[str, str]) -> str:
    """What a fill costs: one number, or those that the combinations pay."""
    costs, times = ground.costs, ground.costs_times
    if costs is None and isinstance(ground, JointGround):
        return "each symbol its own"
    parts = () if costs is None else costs.parts
    told = {name: swept.get(f"costs.{name}") for name in ("taker_fee", "maker_fee", "liquidity")}
    fees = [f"{name.replace('_', ' ')} {values}" for name, values in told.items() if values]
    if fees:
        said = ", ".join(fees)
    elif costs is None or any(isinstance(part, VenueFees) for part in parts):
        said = "fees of the venue's rules"
    else:
        said = f"fee {percent(costs.fee, 2)}"
    slippage = percent(costs.slippage, 2) if costs is not None and costs.slippage else ""
    slippage = swept.get("costs.slippage", slippage)
    said += f", slippage {slippage}" if slippage else ""
    models = [type(part).__name__ for part in parts if not isinstance(part, VenueFees)]
    said += "".join(f", {model}" for model in models)
    return said if times == 1.0 else f"{said}, all x{times:g}"


def _values(column: pd.Series, axis: str) -> str:
    """Values of an axis in words: all of a few, else the ends."""
    values = column.unique().tolist()
    numeric = all(isinstance(value, int | float) for value in values)
    in_percent = axis.startswith("costs.") or axis.endswith(("_loss", "_profit", "_stop"))

    def word(value: Any) -> str:
        if not numeric:
            return str(value)
        return percent(float(value), 2) if in_percent else f"{value:g}"

    if numeric and len(values) > _FEW:
        return f"{word(min(values))} to {word(max(values))}"
    return " or ".join(map(word, values))
