"""Could luck have done it? What a null says of a run's protection, and the timing test.

The statistic is the mean log payout per period, ``(1 / P) sum_p [ln(1 + r_p) - ln(1 + b_p)]`` with
the returns of strategy and benchmark over each of P periods that do not overlap. Its sum is the log
of the wealth ratio over all bars inside, so an account is measured by its growth there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats, counted
from delever.deleveraging.membership import overlapping
from delever.deleveraging.period import Period
from delever.engine.backtest import Backtest, rerun
from delever.engine.joint_orders import at_prices
from delever.engine.orders import EXPOSURE, arguments_of, in_multiples, moved, rows_of
from delever.engine.portfolio import PortfolioBacktest
from delever.engine.sweep_accounts import Asked, SweepAccount, simulate_each
from delever.engine.sweep_market import SweepMarket, sweep_market
from delever.engine.sweep_metrics import column_name
from delever.errors import InputError
from delever.research.evaluation import scope_masks
from delever.research.joint_runs import again, closes, in_force
from delever.stats.metric import Scope, metric_of
from delever.stats.returns import bar_returns, total_return

KEPT = 400
"""Null values kept of a test; of more, as many of their quantiles."""

ONE_BY_ONE = 199
"""Most shifts of a run that no sweep covers."""

_MOST_BARS = 2**22  # of all such shifts together
_FEWEST_SHIFTS = 39  # of several symbols: below, no p-value is small enough to say anything
_AT_ONCE = 2**22  # changes of exposure laid out at once in a sweep
_SAME = 1e-9  # two mean payouts this near are the same but for rounding
_RETURN = (metric_of(total_return),)
_SCOPES: tuple[Scope, ...] = ("whole", "inside")


@dataclass(frozen=True, slots=True, kw_only=True)
class NullKind:
    """One kind of null market by itself."""

    draws: int
    share_worse: float
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NullTest:
    """Where a run's mean log payout per period stands among those that luck makes.

    Without a test `reason` says why; its numbers are NaN.
    """

    statistic: float = math.nan  # of the run
    # increasing, at most `KEPT`; -inf where luck ruined the account
    null_values: tuple[float, ...] = ()
    draws: int = 0  # how many there were
    # two-sided: twice the smaller of the shares at most and at least as good, the run counted in
    p_value: float = math.nan
    share_worse: float = math.nan  # of the draws, strictly
    periods: int = 0  # of the run, behind `statistic`
    kinds: Mapping[str, NullKind] | None = None  # of several kinds of null, each by itself
    reason: str = ""
    notes: tuple[str, ...] = ()  # what a reader must know about the draws

    @property
    def known(self) -> bool:
        """Whether there is a test."""
        return not self.reason

    @property
    def beaten(self) -> str:
        """How many of the draws are worse, in words; rounding never makes all or none of them."""
        if self.share_worse in (0.0, 1.0):
            return "all of" if self.share_worse else "none of"
        if 0.005 <= self.share_worse <= 0.995:
            return f"{self.share_worse:.0%} of"
        return "over 99% of" if self.share_worse > 0.5 else "under 1% of"

    def to_data(self) -> dict[str, Any]:
        """Plain data for JSON; NaN as None, and a ruined account's -inf as "-inf"."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> NullTest:
        """The test that `to_data` wrote down."""
        kinds = data["kinds"]
        told = {
            **_numbers(data, "statistic", "p_value", "share_worse"),
            "null_values": tuple(map(_number, data["null_values"])),
            "notes": tuple(data["notes"]),
        }
        if kinds is not None:
            told["kinds"] = {
                name: NullKind(**_numbers(kind, "p_value", "share_worse"))
                for name, kind in kinds.items()
            }
        return cls(**{**data, **told})


def no_test(reason: str, *, statistic: float = math.nan, periods: int = 0) -> NullTest:
    """What stands where there is no test."""
    return NullTest(reason=reason, statistic=statistic, periods=periods)


def null_test(
    statistic: float,
    draws: Floats,
    *,
    periods: int,
    kinds: Sequence[str] | None = None,
    notes: Sequence[str] = (),
) -> NullTest:
    """Place a statistic among its draws under the null.

    With n draws, of which g are at least and l at most as good as the run, ties within rounding
    counted on both sides, ``p = min(1, 2 (1 + min(g, l)) / (1 + n))``.
    """
    worse, p_value = _placed(statistic, draws)
    ordered = np.sort(draws)
    if len(ordered) > KEPT:
        ordered = ordered[np.linspace(0, len(ordered) - 1, KEPT).round().astype(np.int64)]
    each = None
    if kinds is not None:
        named = np.array(kinds)
        each = {}
        for name in dict.fromkeys(kinds):
            own = draws[named == name]
            share, p_own = _placed(statistic, own)
            each[name] = NullKind(draws=len(own), share_worse=share, p_value=p_own)
    return NullTest(
        statistic=statistic,
        null_values=tuple(ordered.tolist()),
        draws=len(draws),
        p_value=p_value,
        share_worse=worse,
        periods=periods,
        kinds=each,
        notes=tuple(notes),
    )


def _placed(statistic: float, draws: Floats) -> tuple[float, float]:
    """Share of the draws that did worse, and the two-sided p-value."""
    least = min(int((draws >= statistic - _SAME).sum()), int((draws <= statistic + _SAME).sum()))
    share = float((draws < statistic - _SAME).mean())
    return share, min(1.0, 2.0 * (1 + least) / (1 + len(draws)))


def growth_inside(run: Backtest, inside: npt.NDArray[np.bool_]) -> float:
    """Final over initial wealth of the bars inside; 0 for an account that was ever ruined.

    A ruined account earns 0 from then on, which is no protection.
    """
    equity = run.equity.to_numpy()
    if not equity[-1] > 0.0:
        return 0.0
    return float(np.prod(1.0 + bar_returns(equity, run.initial_equity)[inside]))


def mean_payout(growth: npt.ArrayLike, benchmark: npt.ArrayLike, periods: npt.ArrayLike) -> Floats:
    """Mean log payout per period from growth inside all of them; -inf for a ruined account."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((np.log(growth) - np.log(benchmark)) / periods, dtype=np.float64)


def timing_test(
    backtest: Backtest,
    benchmark: Backtest,
    periods: Sequence[Period],
    *,
    shifts: int = 1_000,
    seed: int = 0,
) -> NullTest:
    """Whether the rule was in and out at the right times, given how often and for how long it is.

    As docs/methods.md says; `shifts` are drawn without repeats, all where there are no more, and at
    most `ONE_BY_ONE` of accounts that no sweep covers.

    Raises InputError if `shifts` is below 1.
    """
    if shifts < 1:
        raise InputError(f"shifts must be at least 1; got {shifts}")
    if backtest.request is None:
        return no_test("a timing test needs the whole run, not a part of it or one read back")
    index = pd.DatetimeIndex(backtest.ledger.index)
    seen = overlapping(periods, index, backtest.timeframe)
    if not seen or len(index) < 2:
        return no_test("a timing test needs two bars and a period among them")
    inside = scope_masks(index, backtest.timeframe, seen)["inside"]
    kept = growth_inside(benchmark, inside)
    if not kept > 0.0:
        return no_test("a timing test needs a benchmark that is not ruined")
    asked = in_force(backtest) if isinstance(backtest, PortfolioBacktest) else _decided(backtest)
    if (asked.iloc[1:].nunique(dropna=False) <= 1).all():
        own = float(mean_payout(growth_inside(backtest, inside), kept, len(seen)))
        why = "an exposure that never changes cannot be asked if it changed in time"
        return no_test(why, statistic=own, periods=len(seen))
    if isinstance(backtest, PortfolioBacktest):
        return _together(backtest, inside, kept, len(seen), min(shifts, ONE_BY_ONE), seed)
    wanted = _in_force(backtest)
    notes: list[str] = []
    try:
        market = _swept(backtest, inside)
    except InputError as error:
        if len(index) * ONE_BY_ONE > _MOST_BARS:
            return no_test(f"a timing test of so many bars needs a sweep, and {error}")
        moves = _drawn_shifts(len(index), min(shifts, ONE_BY_ONE), seed)
        notes.append(f"{counted(len(moves), 'shift')}, run one by one: {error}")
        growth = _one_by_one(backtest, inside, moves)
    else:
        moves = _drawn_shifts(len(index), shifts, seed)
        growth = _in_a_sweep(market, wanted, moves)
    refused = np.isnan(growth[1:])
    if refused.any():
        notes.append(
            f"{int(refused.sum())} of {counted(len(moves), 'shift')} left out, refused by a bracket"
        )
    if np.isnan(growth[0]) or refused.all():
        return no_test("a timing test needs positions that brackets allow at other times, too")
    values = mean_payout(growth, kept, len(seen))
    return null_test(float(values[0]), values[1:][~refused], periods=len(seen), notes=notes)


def _together(
    run: PortfolioBacktest,
    inside: npt.NDArray[np.bool_],
    kept: float,
    periods: int,
    shifts: int,
    seed: int,
) -> NullTest:
    """The timing test of several symbols, whose targets are moved on in time together."""
    wanted, last = in_force(run), closes(run)
    cells = wanted.size
    shifts = min(shifts, _MOST_BARS // max(cells, 1))
    if shifts < _FEWEST_SHIFTS:
        return no_test(
            f"a timing test runs every shift by itself; {cells:,} bars of all symbols are too many"
        )
    rows = np.arange(len(wanted) - 1)  # the last is filled nowhere
    moves = _drawn_shifts(len(rows), shifts, seed)
    grown, refused = [growth_inside(run, inside)], 0
    for move in moves.tolist():
        moved = np.roll(rows, move)
        later = wanted.iloc[np.append(moved, moved[-1])].set_axis(wanted.index)
        try:
            later = at_prices(later, last)
            grown.append(growth_inside(again(run, target_exposure=later), inside))
        except InputError:  # a bracket, or the margins at another time
            refused += 1
    if len(grown) == 1:
        return no_test("a timing test needs positions that brackets allow at other times, too")
    notes = [
        f"{counted(len(moves), 'shift')} of all symbols together; where one is not listed at "
        "another time, its part is flat there"
    ]
    if refused:
        notes.append(f"{refused} of {counted(len(moves), 'shift')} left out, refused")
    values = mean_payout(np.array(grown), kept, periods)
    return null_test(float(values[0]), values[1:], periods=periods, notes=notes)


def _in_force(backtest: Backtest) -> Floats:
    """Target in force from each bar's open on, before the account multiplies it."""
    return _decided(backtest)[EXPOSURE].to_numpy()


def _decided(backtest: Backtest) -> pd.DataFrame:
    """What is in force from each bar's open on, prices as a multiple of the close before it."""
    request = backtest.request or {}
    rows = rows_of(request["target_exposure"], request["initial_target"])[:-1]
    rows[EXPOSURE] = rows[EXPOSURE].fillna(0.0)
    return in_multiples(rows, _closes_before(request))


def _closes_before(request: Mapping[str, Any]) -> Floats:
    bars, earlier = request["bars"], request["earlier"]
    first = bars["open"].iloc[0] if earlier is None else earlier["close"].iloc[-1]
    return np.append(first, bars["close"].to_numpy(dtype=np.float64)[:-1])


def _drawn_shifts(bars: int, shifts: int, seed: int) -> npt.NDArray[np.int64]:
    every = np.arange(1, bars)
    if len(every) <= shifts:
        return every
    return np.sort(np.random.default_rng(seed).choice(every, size=shifts, replace=False))


def _swept(backtest: Backtest, inside: npt.NDArray[np.bool_]) -> SweepMarket:
    """The market of a run, for a sweep. Raises InputError where no sweep covers the run."""
    request = backtest.request or {}
    if request["rebalance_band"] is not None:
        raise InputError("a sweep does not cover rebalance_band")
    if isinstance(request["target_exposure"], pd.DataFrame):
        raise InputError("a sweep does not cover the orders of a strategy")
    return sweep_market(
        request["bars"],
        timeframe=backtest.timeframe,
        inside=inside,
        account=request["account"],
        costs=backtest.costs,
        initial_equity=backtest.initial_equity,
        earlier=request["earlier"],
    )


def _in_a_sweep(market: SweepMarket, wanted: Floats, moves: npt.NDArray[np.int64]) -> Floats:
    """Growth inside the periods without a shift and with each; NaN where a bracket refuses."""
    changes = 1 + int((np.diff(wanted, prepend=wanted[-1:]) != 0.0).sum())
    batch = max(1, _AT_ONCE // changes)
    grown = []
    for some in np.split(np.append(0, moves), range(batch, len(moves) + 1, batch)):
        accounts = [SweepAccount(asked=_moved(wanted, move)) for move in some.tolist()]
        frame, _ = simulate_each(market, accounts, metrics=_RETURN)
        whole, within = (1.0 + frame[column_name(scope, _RETURN[0].name)] for scope in _SCOPES)
        grown.append(within.where(whole > 0.0, whole).to_numpy())  # NaN stays
    return np.concatenate(grown)


def _moved(wanted: Floats, move: int) -> Asked:
    """Targets in force, so many bars later."""
    later = np.roll(wanted, move)
    rows = np.append(0, np.flatnonzero(later[1:] != later[:-1]) + 1)
    return Asked(0, rows, later[rows])


def _one_by_one(
    backtest: Backtest,
    inside: npt.NDArray[np.bool_],
    moves: npt.NDArray[np.int64],
) -> Floats:
    """As `_in_a_sweep`, through the engine of single runs; orders keep their distance to closes."""
    grown = [growth_inside(backtest, inside)]
    decided, index = _decided(backtest), backtest.ledger.index
    closes = _closes_before(backtest.request or {})
    for move in moves.tolist():
        later = moved(decided, closes, move)
        rows = pd.concat([later, later.iloc[-1:]], ignore_index=True)
        run = rerun(backtest, tables=False, **arguments_of(rows, index))
        grown.append(growth_inside(run, inside))
    return np.array(grown)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else str(value) if math.isinf(value) else value
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value


def _numbers(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {**data, **{name: _number(data[name]) for name in names}}


def _number(value: float | str | None) -> float:
    return math.nan if value is None else float(value)
