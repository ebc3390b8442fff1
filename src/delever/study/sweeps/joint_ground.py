"""What the combinations of a sweep of several symbols share, and their rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from delever.engine.book_accounts import BookAccount, BookSweep, book_sweep, without_bounds
from delever.engine.orders import Target
from delever.engine.portfolio import PortfolioBacktest
from delever.engine.settings import with_contract
from delever.engine.sweep_accounts import Changes, changes_each
from delever.engine.sweep_metrics import asked_metrics, metric_names, part_names
from delever.errors import DeleverError, InputError
from delever.panel import Markets
from delever.stats.metrics import Metric
from delever.study.inputs.implausible import market_notes
from delever.study.ledger.trials import Ledger
from delever.study.portfolios.joint_remarks import by_note
from delever.study.portfolios.joint_run import joint_trial, whole_index
from delever.study.portfolios.joint_simulation import (
    JointAccount,
    JointRule,
    first_decided,
    first_row,
    first_tradable,
    legs_of,
    run_joint,
    several,
)
from delever.study.sweeps.ground import SharedGround
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace
from delever.venues.costs import Costs

_KEPT = 64
"""Answers of the strategy that are kept for combinations that ask the same."""


class JointCombination(NamedTuple):
    """What one combination asks for: a rule with its parameters, accounts, costs."""

    rule: JointRule
    account: JointAccount
    benchmark_costs: Costs


class JointReply(NamedTuple):
    """What a rule answers: targets as changes, when it first decides, and when its run begins."""

    changes: Mapping[str, Changes]  # none where it names orders beside its exposures
    decided: int
    begin: int

    @property
    def ordered(self) -> bool:
        """Whether each combination is run by itself."""
        return not self.changes

    @property
    def nbytes(self) -> int:
        """Bytes of the changes."""
        return sum(each.bars.nbytes + each.targets.nbytes for each in self.changes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class JointGround(SharedGround):
    """What all combinations of a sweep of several symbols share."""

    market: Markets
    rule: JointRule
    benchmark: JointRule
    benchmark_name: str
    joint: JointAccount
    _replies: dict[str, JointReply | DeleverError] = field(
        default_factory=dict, init=False, repr=False
    )
    _laid: dict[Any, BookSweep] = field(default_factory=dict, init=False, repr=False)

    @property
    def strategy(self) -> Strategy | pd.DataFrame:
        """What is asked."""
        return self.rule.strategy

    @property
    def tradable(self) -> pd.Timestamp | None:
        """When the first bar opens that may be traded; None where all may."""
        return first_tradable(self.market)

    @property
    def data(self) -> str:
        """What the markets are called."""
        return ", ".join(self.market)

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the data."""
        views = self.market.views
        return [*self.market.notes, *by_note({name: market_notes(views[name]) for name in views})]

    def asked(self, one: JointCombination) -> tuple[pd.DataFrame, int] | DeleverError:
        """Exposures of every row and symbol, and the row of the first bar; or why there is none."""
        try:
            target = one.rule.target(self.market)
            return target, first_row(self.market, target, start=self.start)
        except DeleverError as error:
            return error

    def alone(self, one: JointCombination, target: Target, begin: int) -> PortfolioBacktest:
        """A combination run by itself."""
        return run_joint(
            self.market,
            pd.DataFrame(target),
            one.account,
            begin=begin,
            costs_times=self.costs_times,
            initial_equity=self.initial_equity,
        )

    def returns(self, one: JointCombination, target: Target, begin: int) -> pd.Series:
        """Of each bar of a combination run by itself."""
        return self.alone(one, target, begin).returns

    def beside(self, one: JointCombination, begin: int) -> PortfolioBacktest:
        """The benchmark over the bars of a combination."""
        spot = JointAccount(costs=dict.fromkeys(self.market.symbols, one.benchmark_costs))
        target = self.benchmark.target(self.market)
        return self.alone(one._replace(account=spot), target, begin)

    def decided(self, target: Target) -> int:
        """Row at whose close a target is first known."""
        return first_decided(pd.DataFrame(target))

    def trial(self, one: JointCombination) -> dict[str, Any]:
        """The trial of a combination, as the ledger keeps it."""
        return joint_trial(
            one.rule,
            one.account,
            costs_times=self.costs_times,
            timeframe=self.market.timeframe,
            start=self.start,
        )

    def ledger(self, place: Workspace, data: str = "") -> Ledger:
        """The ledger of trials, for these markets."""
        return Ledger.of(place, whole_index(self.market), data or self.data)

    @property
    def costs(self) -> Costs | None:
        """What a fill costs where all symbols pay the same; else None."""
        every = [*self.joint.costs.values()]
        return every[0] if every and all(each == every[0] for each in every) else None

    def reply(self, one: JointCombination) -> JointReply | DeleverError:
        """What a rule answers, as changes; to the same question it is asked once."""
        rule = one.rule.rule
        key = repr((one.rule.params, None if rule is None else rule.sha256, one.rule.rule_params))
        if key not in self._replies:
            while len(self._replies) >= _KEPT:
                del self._replies[next(iter(self._replies))]
            answer = self.asked(one)
            self._replies[key] = answer if isinstance(answer, DeleverError) else _reply(*answer)
        return self._replies[key]

    def answers(self, wanted: Iterable[JointCombination]) -> Iterator[JointReply | DeleverError]:
        """What the rule answers to each."""
        several(self.market, self.strategy)
        yield from map(self.reply, wanted)

    def target(self, one: JointCombination, answer: JointReply) -> tuple[pd.DataFrame, int]:
        """As `asked`, and raises why there is none."""
        asked = self.asked(one)
        if isinstance(asked, DeleverError):
            raise asked
        return asked

    @property
    def why_alone(self) -> str:
        """Why each combination is run by itself: wallets hold coins, behind inverse contracts."""
        views = self.market.views
        coins = any(
            with_contract(account, views[name].index[-1].date()).inverse
            for name, account in self.joint.accounts.items()
        )
        return "wallets of coins" if coins else ""

    def is_alone(self, one: JointCombination, answer: JointReply) -> bool:
        """Whether a combination is run by itself, where not all are."""
        return answer.ordered

    def held(
        self, one: JointCombination, answer: JointReply
    ) -> tuple[JointCombination, JointReply]:
        """What is kept of a combination until many are simulated."""
        return one, answer

    def refuse_bounds(self, one: JointCombination) -> None:
        """Raise InputError for bounds, which a sweep has no columns for."""
        without_bounds(one.account.accounts)

    def below_a_lot(self, run: PortfolioBacktest, begin: int) -> float:
        """NaN: how many decisions were below one lot is not told of several symbols."""
        return math.nan

    def slow(self, one: JointCombination) -> bool:
        """Whether one such as this is run by itself, or gives nothing."""
        reply = self.reply(one)
        by_run = asked_metrics(self.metrics)[1]
        alone = isinstance(reply, DeleverError) or reply.ordered
        return bool(by_run) or alone or bool(self.why_alone)

    def laid(self, one: JointCombination, begin: int) -> BookSweep:
        """The markets from a row on, laid out for many accounts; the last few are kept."""
        margin = one.account.margin
        models = {name: costs.parts for name, costs in sorted(one.account.costs.items())}
        key = (begin, margin.mode, repr(models))
        if key not in self._laid:
            while len(self._laid) >= 4:
                del self._laid[next(iter(self._laid))]
            self._laid[key] = self._lay(one, begin)
        return self._laid[key]

    def _lay(self, one: JointCombination, begin: int) -> BookSweep:
        legs, rows = legs_of(self.market, one.account, begin, self.costs_times)
        if not rows.equals(self.market.index[begin:]):
            raise InputError(
                "a sweep of several symbols needs a bar that can be traded in every row; some rows "
                "hold bars of delisted symbols alone; cut those bars off"
            )
        return book_sweep(
            legs,
            timeframe=self.market.timeframe,
            margin=one.account.margin,
            inside=self.inside[begin:],
            initial_equity=self.initial_equity,
            parts=self.parts_from(begin),
        )

    def simulated(
        self,
        batch: Mapping[int, tuple[JointCombination, JointReply]],
        metrics: Sequence[Metric],
        errors: dict[int, str],
    ) -> pd.DataFrame:
        """Metrics of a batch by row; of what is refused, the reason goes to `errors`."""
        names = [*metric_names(metrics), *part_names(self.parts.rows)]
        found = [pd.DataFrame(columns=names, dtype="float64")]
        left = dict(batch)
        while left:
            one, reply = next(iter(left.values()))
            alike = {at: two for at, two in left.items() if _laid_alike(one, reply, *two)}
            # One layout for all that share accounts: from the earliest of their first bars on.
            begin = min(two.begin for _, two in alike.values())
            try:
                board = self.laid(one, begin)
            except DeleverError as error:  # what the earliest lack, later ones may have
                alike = {at: two for at, two in alike.items() if two[1].begin == begin}
                errors |= dict.fromkeys(alike, str(error))
            else:
                found.append(self._measured(alike, board, begin, metrics, errors))
            left = {at: two for at, two in left.items() if at not in alike}
        return pd.concat([each for each in found if len(each)] or found)

    def _measured(
        self,
        batch: Mapping[int, tuple[JointCombination, JointReply]],
        board: BookSweep,
        begin: int,
        metrics: Sequence[Metric],
        errors: dict[int, str],
    ) -> pd.DataFrame:
        accounts = [
            BookAccount(
                begin=reply.begin - begin,
                decided=reply.decided - begin,
                changes={
                    name: Changes(each.bars - begin, each.targets)
                    for name, each in reply.changes.items()
                },
                accounts=one.account.accounts,
                costs={
                    name: costs.stressed(self.costs_times)
                    for name, costs in one.account.costs.items()
                },
                band=one.account.band,
            )
            for one, reply in batch.values()
        ]
        frame, refused = board.run(accounts, metrics=metrics)
        rows = list(batch)
        errors |= {rows[place]: reason for place, reason in refused.items()}
        return frame.set_axis(pd.Index(rows, dtype="int64"), axis=0)


def _laid_alike(
    one: JointCombination, reply: JointReply, other: JointCombination, its: JointReply
) -> bool:
    """Whether one layout serves both; how many wallets there are depends on the first bar."""
    margin = one.account.margin
    if margin != other.account.margin:
        return False
    if margin.mode == "separate" and reply.begin != its.begin:
        return False
    paid = other.account.costs
    return all(costs.parts == paid[name].parts for name, costs in one.account.costs.items())


def _reply(target: pd.DataFrame, begin: int) -> JointReply:
    """Targets as changes; a symbol that says nothing in a row keeps what it said."""
    decided = first_decided(target)
    if target.columns.nlevels > 1:
        return JointReply({}, decided, begin)
    held = np.ascontiguousarray(target.ffill().to_numpy(dtype=np.float64).T)
    each = changes_each(held, np.arange(len(target)), len(target)).changes
    return JointReply(dict(zip(map(str, target), each, strict=True)), decided, begin)
