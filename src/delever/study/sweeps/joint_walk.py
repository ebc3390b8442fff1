"""A walk over several symbols: exposures of all of them, chosen and shifted together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats
from delever.deleveraging.period import load_catalog
from delever.engine.book_accounts import BookAccount, BookSweep
from delever.engine.legs import Margin
from delever.engine.settings import Account
from delever.engine.sweep_accounts import Changes, changes_each
from delever.engine.sweep_metrics import PART_SUMS, part_names
from delever.errors import DeleverError, InputError
from delever.memo import shared_work
from delever.panel import Markets
from delever.research.choosing import Parts
from delever.research.walking import Window
from delever.study.inputs.market import utc
from delever.study.kept.provenance import account_asked
from delever.study.portfolios.joint_backtesting import backtest_asked
from delever.study.portfolios.joint_inputs import gather_joint
from delever.study.portfolios.joint_simulation import JointAccount, JointRule, run_joint
from delever.study.runs.run import Run
from delever.study.settings.config import DEFAULT_COSTS
from delever.study.settings.portfolio_config import PortfolioStudy
from delever.study.sweeps.ground import in_parts
from delever.study.sweeps.joint_ground import JointCombination, JointGround
from delever.study.sweeps.joint_sweep import joint_ground_at_hand, joint_ground_of
from delever.study.sweeps.walk_of_one import axes_of, parameters_alone, strategy_to_walk
from delever.study.sweeps.walk_steps import SHARED, WalkAsked, Wanted
from delever.study.workspaces.any_strategy import Given
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralWalked(WalkAsked):
    """What is walked over several symbols."""

    ground: JointGround
    benchmark: str  # by its name

    def combination(self, params: Mapping[str, Any]) -> JointCombination:
        """All that is asked for with parameters of the strategy."""
        rule = replace(self.ground.rule, params=params)
        return JointCombination(rule, self.ground.joint, self.benchmark_costs)

    def wanted(self) -> Wanted:
        """What all combinations decide of every symbol; 0 before they do.

        Raises what the strategy does if it answers none; InputError if it names orders.
        """
        symbols, index = list(self.ground.market), self.ground.market.index
        rows = np.zeros((len(self.bound), len(index) + 1, len(symbols)))
        begins = np.full(len(self.bound), len(index))
        failed: list[DeleverError] = []
        with shared_work(SHARED):
            for row, params in enumerate(self.bound):
                answer = self.ground.asked(self.combination(params))
                if isinstance(answer, DeleverError):
                    failed.append(answer)
                    continue
                target, begins[row] = answer
                if target.columns.nlevels > 1:
                    raise InputError(
                        "a walk over several symbols holds exposures; this strategy names orders "
                        "beside them; leave them out, or walk one symbol"
                    )
                rows[row, 1:] = target[symbols].ffill().fillna(0.0)
                rows[row, : begins[row]] = 0.0
        if len(failed) == len(self.bound):
            raise failed[0]
        return Wanted(symbols, rows, begins)

    def sums_over(self, parts: Parts, wanted: Wanted, first: int) -> Callable[..., Floats]:
        """What sums decisions over parts, from rows on and shifted by a share."""
        joint = self.ground.joint
        accounts = {name: replace(own, bounds=False) for name, own in joint.accounts.items()}
        account = replace(joint, accounts=accounts)
        ground = replace(self.ground, own_parts=parts, joint=account)
        if ground.why_alone:
            return JointSums(
                market=ground.market,
                account=account,
                parts=parts,
                costs_times=ground.costs_times,
                initial_equity=ground.initial_equity,
            )
        costs = {name: each.stressed(ground.costs_times) for name, each in account.costs.items()}
        board = ground.laid(self.combination(self.bound[0])._replace(account=account), first)
        return JointSums(board=board, account=replace(account, costs=costs), parts=parts)

    def run(
        self,
        wanted: Wanted,
        rows: npt.NDArray[np.intp],
        cut: Sequence[Window],
        place: Workspace,
    ) -> Run:
        """The choices as one account; flat where nothing was chosen."""
        ground, index = self.ground, self.ground.market.index
        held = np.zeros(wanted.rows.shape[1:])
        for row, window in zip(rows.tolist(), cut, strict=True):
            first, last = window.out
            if row >= 0:
                held[first:last] = wanted.rows[row, first:last]
        held[-1] = held[-2]  # what is decided at the last close
        return backtest_asked(
            ground.market,
            JointRule(strategy=pd.DataFrame(held[1:], index=index, columns=wanted.names)),
            ground.joint,
            ground.benchmark,
            name=self.name,
            benchmark_name=self.benchmark,
            terms=self.terms(cut, ()),
            place=place,
            data=self.data or ground.data,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JointSums:
    """Sums of decisions over several symbols, over parts of the bars."""

    account: JointAccount
    parts: Parts
    board: BookSweep | None = None  # where many accounts are run, their costs being stressed
    market: Markets | None = None  # else: where each is run by itself
    costs_times: float = 1.0
    initial_equity: float = 10_000.0

    def __call__(self, wanted: Wanted, first: int, shift: float = 0.0) -> Floats:
        """Shape (combinations, parts, sums); no run begins before the row `first`."""
        out = np.zeros((len(wanted.rows), len(self.parts.rows), len(PART_SUMS)))
        there = np.flatnonzero(wanted.begins < wanted.rows.shape[1] - 1)
        begins = np.maximum(wanted.begins[there], first).tolist()
        accounts = []
        for row, begin in zip(there.tolist(), begins, strict=True):
            own = wanted.rows[row, begin:-1]
            held = np.roll(own, round(shift * len(own)), axis=0)
            if self.board is None:
                out[row] = self._alone(wanted, held, begin)
                continue
            # The first of them is in force from the first open on.
            each = changes_each(
                np.ascontiguousarray(held.T),
                np.arange(len(held)) + begin - first - 1,
                len(self.board.clock),
            ).changes
            accounts.append(
                self._account(dict(zip(wanted.names, each, strict=True)), begin - first)
            )
        if self.board is not None and accounts:
            frame, refused = self.board.run(accounts)
            if refused:
                raise InputError(next(iter(refused.values())))
            sums = frame[part_names(self.parts.rows)].to_numpy()
            out[there] = sums.reshape(len(there), -1, len(PART_SUMS))
        return out

    def _account(self, changes: Mapping[str, Changes], begin: int) -> BookAccount:
        return BookAccount(
            begin=begin,
            decided=begin - 1,
            changes=changes,
            accounts=self.account.accounts,
            costs=self.account.costs,
            band=self.account.band,
        )

    def _alone(self, wanted: Wanted, held: Floats, begin: int) -> Floats:
        assert self.market is not None
        index = self.market.index
        rows = np.zeros((len(index) + 1, len(wanted.names)))
        rows[begin:-1], rows[-1] = held, held[-1]
        run = run_joint(
            self.market,
            pd.DataFrame(rows[1:], index=index, columns=wanted.names),
            self.account,
            begin=begin,
            costs_times=self.costs_times,
            initial_equity=self.initial_equity,
        )
        return in_parts(run, self.parts, begin)


def several_of_study(place: Workspace, path: Path, study: PortfolioStudy) -> SeveralWalked:
    """What a study of several symbols walks. Raises what loading it raises."""
    parameters_alone(study, path)
    inputs = gather_joint(study, place)
    strategy = inputs.rule.strategy
    assert isinstance(strategy, Strategy)
    said = inputs.manifest(study)["study"]
    chosen = axes_of(study)
    return SeveralWalked(
        ground=joint_ground_of(study, inputs),
        chosen=chosen,
        bound=[strategy.bind({**study.params, **one}) for one in chosen],
        benchmark=study.benchmark,
        benchmark_costs=study.spot_costs(inputs.extensions.cost_models),
        name=study.name,
        data=str(said["data"]),
        studied={
            "strategy": study.strategy,
            "data": str(said["data"]),
            "account": account_asked(said),
        },
    )


def several_at_hand(
    place: Workspace,
    markets: Markets,
    strategy: Given | None,
    axes: Mapping[str, Iterable[Any]] | None,
    *,
    account: Account | Mapping[str, Account] | None,
    costs: Costs | None,
    benchmark: Given,
    start: str | pd.Timestamp | None,
    margin: str | Margin,
    rule: str | None,
    rule_params: Mapping[str, Any] | None,
) -> SeveralWalked:
    """What is walked on markets in a notebook."""
    walked, chosen = strategy_to_walk(strategy, axes, place)
    ground = joint_ground_at_hand(
        markets,
        walked,
        account=account,
        costs=costs,
        margin=margin,
        rule=rule,
        rule_params=rule_params,
        benchmark=benchmark,
        start=None if start is None else utc(start, "start"),
        place=place,
        periods=tuple(load_catalog(place.periods)),
        initial_equity=10_000.0,
    )
    return SeveralWalked(
        ground=ground,
        chosen=chosen,
        bound=[walked.bind(one) for one in chosen],
        benchmark=benchmark if isinstance(benchmark, str) else "benchmark",
        benchmark_costs=costs or DEFAULT_COSTS,
        name=walked.name,
        studied={},
    )
