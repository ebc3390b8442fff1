"""Redrawn periods: the same rule on other markets, with periods drawn there by the same rule.

A deleveraging period is a fall that went on, seen with hindsight. So a rule that leaves after a
fall helps inside even where nothing can be foreseen. Here both sides have hindsight: periods are
drawn by rule on the real history and on markets drawn again from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from delever.arguments import Mapper
from delever.deleveraging.drawn import drawn_inside
from delever.engine.backtest import Backtest, rerun
from delever.engine.orders import Target, decided_before
from delever.engine.settings import Account, FundingSeries
from delever.errors import DeleverError, InputError
from delever.research.luck import NullTest, growth_inside, mean_payout, no_test, null_test
from delever.research.null_markets import KINDS, resampled_bars
from delever.view import MarketView

Rule = Callable[[MarketView], Target]
"""From a market to the target exposure of each of its bars, and orders if there are any."""

_MOST_REFUSED = 0.1


class DrawnMarket(NamedTuple):
    """What a run came to on one market, on the periods drawn there."""

    payout: float  # mean log payout per period; NaN without a period or a run
    periods: int
    refused: str = ""  # why there was no run


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Redrawing:
    """A run and its benchmark, ready to be made again on other markets.

    Raises InputError if either is a part of a run or was read back, or their bars are not the last
    ones of the market.
    """

    market: MarketView  # of the run, warm-up bars included
    rule: Rule
    benchmark_rule: Rule
    backtest: Backtest = field(repr=False)  # as the engine returned it
    benchmark: Backtest = field(repr=False)  # over the same bars

    def __post_init__(self) -> None:
        for run in (self.backtest, self.benchmark):
            if run.request is None:
                raise InputError(
                    "redrawn periods need the whole run, not a part of it or one read back"
                )
            if not self.market.index[self.begin :].equals(pd.DatetimeIndex(run.ledger.index)):
                raise InputError("redrawn periods need a run over the last bars of its market")

    @property
    def begin(self) -> int:
        """Row of the market at which the run begins."""
        return int(self.market.index.searchsorted(self.backtest.ledger.index[0]))

    def on(self, market: MarketView) -> DrawnMarket:
        """The run on a market with the same index.

        Raises what the rule raises.
        """
        begin = self.begin
        inside, periods = drawn_inside(
            market.bars["close"], market.timeframe, since=self.market.index[begin]
        )
        if not periods:
            return DrawnMarket(math.nan, 0)
        own, held = (
            growth_inside(_again(run, rule(market), market, begin), inside[begin:])
            for run, rule in (
                (self.backtest, self.rule),
                (self.benchmark, self.benchmark_rule),
            )
        )
        return DrawnMarket(float(mean_payout(own, held, periods)), periods)


def _again(run: Backtest, target: Target, market: MarketView, begin: int) -> Backtest:
    """The account of a run on other bars; the marks are the bars, and none are finer."""
    return rerun(
        run,
        tables=False,
        bars=market.bars.iloc[begin:],
        target_exposure=target.iloc[begin:],
        initial_target=decided_before(target, begin),
        earlier=market.bars.iloc[:begin] if begin else None,
        account=_on_bars(run.account),
    )


def _on_bars(account: Account | None) -> Account | None:
    if account is None:
        return None
    funding = account.funding
    if isinstance(funding, FundingSeries):
        funding = replace(funding, mark_prices=None)
    return replace(account, mark=None, detail=None, bounds=False, funding=funding)


def drawn_market(redrawing: Redrawing, seed: int, number: int) -> DrawnMarket:
    """The run on one of the markets drawn from its own, by number; kinds take turns."""
    market, kind = redrawing.market, KINDS[number % len(KINDS)]
    rng = np.random.default_rng([seed, number])
    bars = resampled_bars(market.bars, market.timeframe, kind, rng, begin=redrawing.begin)
    try:
        return redrawing.on(replace(market, bars=bars))
    except DeleverError as error:
        return DrawnMarket(math.nan, 0, str(error))


def redrawn_test(
    redrawing: Redrawing,
    *,
    markets: int = 400,
    seed: int = 0,
    mapper: Mapper = map,
) -> NullTest:
    """Whether a run's payouts are better than those of the same rule where there is no memory.

    As docs/methods.md says; kinds of markets take turns, and `mapper` maps a function over their
    numbers.

    Raises InputError if `markets` is below the number of kinds.
    """
    if markets < len(KINDS):
        raise InputError(f"markets must be at least {len(KINDS)}, one of each kind; got {markets}")
    real = redrawing.on(redrawing.market)
    if not real.periods:
        return no_test("no deleveraging period can be drawn on this history; it is short, or calm")
    if math.isnan(real.payout):
        return no_test("redrawn periods need a benchmark that is not ruined")
    drawn = list(mapper(partial(drawn_market, redrawing, seed), range(markets)))
    return _placed_among(real, drawn, _differences(redrawing))


def _placed_among(real: DrawnMarket, drawn: Sequence[DrawnMarket], notes: list[str]) -> NullTest:
    refused = [one.refused for one in drawn if one.refused]
    if len(refused) > _MOST_REFUSED * len(drawn):
        return no_test(
            f"the run cannot be made on {len(refused)} of {len(drawn)} redrawn markets: "
            f"{refused[0]}",
            statistic=real.payout,
            periods=real.periods,
        )
    payouts = np.array([one.payout for one in drawn])
    known = ~np.isnan(payouts)
    if not known.all():
        notes.append(
            f"{int((~known).sum())} of {len(drawn)} markets left out: no period, or no run"
        )
    if known.sum() < len(KINDS):
        return no_test(
            "hardly a redrawn market has a period", statistic=real.payout, periods=real.periods
        )
    kinds = [KINDS[number % len(KINDS)] for number in np.flatnonzero(known).tolist()]
    return null_test(
        real.payout, payouts[known], periods=real.periods, kinds=kinds, notes=tuple(notes)
    )


def _differences(redrawing: Redrawing) -> list[str]:
    """What redrawn runs leave out of the real one."""
    account = redrawing.backtest.account
    given: dict[str, Any] = {name: getattr(account, name, None) for name in ("mark", "detail")}
    left = [name for name, value in given.items() if value is not None]
    notes = [f"without {' and '.join(left)}: the bars of the last price alone"] if left else []
    if redrawing.market.readings:
        notes.append("series beside the bars stay where they are in time")
    return notes
