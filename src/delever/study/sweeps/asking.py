"""What a strategy answers to many combinations of parameters: at once where that is proven.

A strategy is first asked once for many combinations (`delever.at_once`). Whether it can be is found
out and not assumed: of every block of combinations some are also asked by themselves, and the
answers must be the same to the last bit. Where they differ, or the strategy does something that a
single value alone allows, combinations are asked one by one.
"""

from __future__ import annotations

import io
import itertools
import math
import zlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats
from delever.ask import IN_NAMES, Ask
from delever.at_once import Columns, choices, same_for_all
from delever.engine.orders import EXPOSURE, ORDERS, Target, exposure_of
from delever.engine.sweep_accounts import Changes, changes_each
from delever.errors import DeleverError
from delever.research.strategy_checks import exposures
from delever.study.runs.simulation import begin_after, first_bar, target_of
from delever.study.workspaces.strategy import RAISED, Strategy
from delever.study.workspaces.strategy_state import StrategyState, looks_at_types

if TYPE_CHECKING:
    from delever.study.sweeps.chunk import SweepGround

CELLS = 2**21
"""Numbers that the largest series of a block may hold, all combinations together."""
_FIRST, _FEWEST, _MOST = 16, 4, 4_096
_CALLS = 24
"""Calls for many combinations that may come to nothing before no more are tried."""
_LEAST_ALONE = 4
"""Combinations of a block also asked by themselves, ends among them; of large ones more."""

Params: TypeAlias = Mapping[str, Any]


class Reply(NamedTuple):
    """What a strategy answers to parameters."""

    changes: Changes
    decided: int  # row of the bar at whose close it first decides
    begin: int  # row of the first bar of the run
    ordered: bool = False  # whether there are orders beside the exposures

    @property
    def nbytes(self) -> int:
        """Bytes of the changes."""
        return self.changes.bars.nbytes + self.changes.targets.nbytes

    def target(self, size: int) -> Floats:
        """Target exposure of every bar; the last one, which no open follows, is the one before."""
        bars, targets = self.changes
        lasting = np.diff(np.concatenate([[1], bars, [size + 1]]))
        target: Floats = np.repeat(np.append(0.0, targets), lasting)
        target[: self.decided] = np.nan
        return target


Said: TypeAlias = "Reply | DeleverError"


@dataclass(slots=True, eq=False)
class Asking:
    """How the strategy of a sweep is asked, as it is found out."""

    differs: str = ""  # where an answer to many was another than to one: nothing is at once then
    one_by_one: dict[Hashable, str] = field(default_factory=dict)  # kinds, and why
    sizes: dict[Hashable, int] = field(default_factory=dict)  # combinations asked at once, by kind
    calls: dict[Hashable, int] = field(default_factory=dict)  # more than they were worth, by kind
    checked: dict[Hashable, Any] = field(default_factory=dict)  # parameters that were bound

    @property
    def why(self) -> str:
        """Why combinations were asked one by one, if they were."""
        return self.differs or "; ".join(dict.fromkeys(self.one_by_one.values()))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of how the strategy was asked."""
        if not self.why:
            return ()
        return (
            "the strategy was asked for one combination after the other, which takes longer; asked "
            f"for many at once it stops at: {self.why}",
        )

    def bind(self, strategy: Strategy, params: Params) -> dict[str, Any]:
        """As the strategy's own; each value is checked once. Raises as that does."""
        names = tuple(params)
        marks = [(name, repr(value)) for name, value in params.items()]
        try:
            return {**self.checked[names], **{mark[0]: self.checked[mark] for mark in marks}}
        except KeyError:
            bound = strategy.bind(params)
        self.checked[names] = bound
        self.checked |= {mark: bound[mark[0]] for mark in marks}
        return dict(bound)


class _DiffersError(Exception):
    """An answer to many combinations is another than that to one of them."""


def asked_of(ground: SweepGround, params: Params) -> tuple[Target, int] | DeleverError:
    """Target of every bar, and the row of the first bar of a run; or why there is none."""
    try:
        strategy = ground.strategy
        if isinstance(strategy, Strategy):  # on the market itself: indicators are shared by it
            bound = ground.asking.bind(strategy, params)
            target = strategy.bound_target(ground.market, bound)
        else:
            target = target_of(ground.market, strategy)
        return target, first_bar(ground.market, target, start=ground.start)
    except DeleverError as error:
        return error


def answers(ground: SweepGround, wanted: Iterable[Params]) -> Iterator[Said]:
    """What the strategy answers to each, in their order; to equal ones it is asked once."""
    left = iter(wanted)
    while batch := tuple(itertools.islice(left, _MOST)):
        try:
            yield from _batch(ground, batch)
        except _DiffersError as error:
            ground.asking.differs = str(error)
            yield from _batch(ground, batch)


def _batch(ground: SweepGround, batch: Sequence[Params]) -> list[Said]:
    strategy, asking = ground.strategy, ground.asking
    if not isinstance(strategy, Strategy):
        return [_alone(ground, {})] * len(batch)
    keys: list[Hashable] = []
    bound: dict[Hashable, dict[str, Any]] = {}
    kinds: dict[Hashable, list[Hashable]] = {}
    said: dict[Hashable, Said] = {}
    for params in batch:
        try:
            one = asking.bind(strategy, params)
        except DeleverError as error:
            keys.append(len(keys))
            said[keys[-1]] = error
            continue
        keys.append(tuple(map(repr, one.values())))
        if keys[-1] not in bound:
            bound[keys[-1]] = one
            kinds.setdefault(_kind(one), []).append(keys[-1])
    for kind, own in kinds.items():
        left, tile = own, 0
        while left:
            size = asking.sizes.get(kind, _FIRST)
            if not tile or not tile / 2 < size < tile * 2:
                left, tile = _tiled(left, bound, size), size
            block, left = left[:size], left[size:]
            found = _Block(ground, kind, [bound[key] for key in block]).replies()
            said |= zip(block, found, strict=True)
    return [said[key] for key in keys]


def _kind(bound: Params) -> Hashable:
    """What combinations must share to be asked at once: all but the values of numbers."""
    return tuple(
        type(value).__name__ if type(value) in (int, float) else repr(value)
        for value in bound.values()
    )


def _tiled(keys: list[Hashable], bound: Mapping[Hashable, Params], size: int) -> list[Hashable]:
    """Combinations in an order in which so many in a row share values of every number."""
    columns = [[bound[key][name] for key in keys] for name in bound[keys[0]]]
    numbers = [each for each in columns if type(each[0]) in (int, float) and len({*each}) > 1]
    if len(numbers) < 2:
        return keys
    side = math.ceil(size ** (1.0 / len(numbers)))
    ranks = [np.unique(each, return_inverse=True)[1] // side for each in numbers]
    return [keys[row] for row in np.lexsort(ranks[::-1]).tolist()]


def _alone(ground: SweepGround, params: Params) -> Said:
    found = asked_of(ground, params)
    if isinstance(found, DeleverError):
        return found
    asked, begin = found
    target = exposures(exposure_of(asked))
    moves = changes_each(target[None, :], np.arange(len(target)), len(target))
    return Reply(moves.changes[0], int(moves.firsts[0]), begin, isinstance(asked, pd.DataFrame))


@dataclass(slots=True)
class _Block:
    """Combinations of one kind that are asked at once."""

    ground: SweepGround
    kind: Hashable
    bound: list[dict[str, Any]]

    def replies(self) -> list[Said]:
        """What the strategy says to each."""
        asking, size = self.ground.asking, len(self.bound)
        if asking.differs or self.kind in asking.one_by_one or size < _FEWEST:
            return self._one_by_one()
        asking.calls[self.kind] = asking.calls.get(self.kind, 0) + 1
        if asking.calls[self.kind] > _CALLS:
            asking.one_by_one[self.kind] = "it goes another way for nearly every combination"
            return self._one_by_one()
        function = self._function()
        if looks_at_types(function):
            asking.one_by_one[self.kind] = "it asks what type something has"
            return self._one_by_one()
        ask = Ask(size, getattr(function, "__code__", None))
        kept = StrategyState(function)
        try:
            # What it prints stands for many: it prints its own where it is asked by itself.
            with ask.going_on(), redirect_stdout(io.StringIO()):
                answer = function(replace(self.ground.market), **self._choices(ask))
                columns = _exposures(ask, answer, self.ground.market.index)
        except RAISED as error:
            kept.cleared_for(ask)
            return self._otherwise(ask, error)
        kept.cleared_for(ask)
        if ask.ways is not None or ask.refused:
            return self._otherwise(ask, None)
        asking.calls[self.kind] = max(0, asking.calls[self.kind] - size // _FEWEST)
        asking.sizes[self.kind] = int(np.clip(CELLS * size // max(1, ask.cells), _FEWEST, _MOST))
        said = self._read(columns)
        self._prove(said)
        return said

    def _function(self) -> Any:
        assert isinstance(self.ground.strategy, Strategy)
        return self.ground.strategy.function

    def _choices(self, ask: Ask) -> dict[str, Any]:
        """Parameters as they are given to the strategy, for all combinations at once."""
        given = {}
        for name in self.bound[0]:
            values = [one[name] for one in self.bound]
            places: dict[str, int] = {}
            codes = [places.setdefault(repr(value), len(places)) for value in values]
            firsts = [values[codes.index(code)] for code in range(len(places))]
            given[name] = choices(ask, firsts, np.array(codes, dtype=np.intp))
        return given

    def _one_by_one(self) -> list[Said]:
        return [_alone(self.ground, one) for one in self.bound]

    def _parted(self, groups: Iterable[npt.NDArray[np.intp]]) -> list[Said]:
        """What the strategy says to groups of them, each asked for itself."""
        said: dict[int, Said] = {}
        for group in groups:
            own = [self.bound[row] for row in group.tolist()]
            said |= zip(group.tolist(), replace(self, bound=own).replies(), strict=True)
        return [said[row] for row in range(len(self.bound))]

    def _otherwise(self, ask: Ask, error: BaseException | None) -> list[Said]:
        """Ask again where the strategy could not be asked for all of them."""
        size = len(self.bound)
        if ask.refused:
            why = ask.refused
        elif ask.ways is not None:
            ways = int(ask.ways.max()) + 1
            if ways * _FEWEST <= size:
                return self._parted(np.flatnonzero(ask.ways == way) for way in range(ways))
            why = ""
        elif isinstance(error, DeleverError):
            # Some are wrong: they are found by halves, so that the others need not suffer for it.
            some = [_alone(self.ground, self.bound[row]) for row in (0, size // 2, size - 1)]
            if not all(isinstance(one, DeleverError) for one in some):
                rows = np.arange(size)
                return self._parted([rows[: size // 2], rows[size // 2 :]])
            why = ""
        else:
            why = f"{type(error).__name__}: {error}"
        if why:
            self.ground.asking.one_by_one[self.kind] = why
        return self._one_by_one()

    def _read(self, columns: Columns) -> list[Said]:
        """Answers out of exposures; of what breaks its contract a single call says why."""
        market, start = self.ground.market, self.ground.start
        values, rows = columns.moments()
        size = len(market.index)
        moves = changes_each(values, rows, size)
        decided = np.append(rows, size)[moves.firsts].tolist()
        begins: dict[int, int | DeleverError] = {}
        found: list[Said | None] = []
        for row, changes in enumerate(moves.changes):
            if decided[row] not in begins:
                try:
                    begins[decided[row]] = begin_after(market, decided[row], start=start)
                except DeleverError as error:
                    begins[decided[row]] = error
            begin = begins[decided[row]]
            answer = Reply(changes, decided[row], begin) if isinstance(begin, int) else begin
            found.append(answer if moves.sound[row] else None)
        said = (found[code] for code in columns.codes.tolist())
        return [
            _alone(self.ground, params) if one is None else one
            for one, params in zip(said, self.bound, strict=True)
        ]

    def _prove(self, said: Sequence[Said]) -> None:
        """Ask some of them alone. Raises _DiffersError if one of the answers is another."""
        for row in _drawn(self.bound):
            if not _same(said[row], _alone(self.ground, self.bound[row])):
                params = self.bound[row]
                raise _DiffersError(f"with {params} it answers otherwise by itself")


def _drawn(bound: Sequence[Params]) -> list[int]:
    """Which of a block are asked alone: its ends, and others by nothing but their content."""
    last = len(bound) - 1
    inner = sorted(range(1, last), key=lambda row: zlib.crc32(repr(bound[row]).encode()))
    return [0, last, *inner[: max(_LEAST_ALONE, math.isqrt(len(bound)) // 2) - 2]]


def _same(one: Said, other: Said) -> bool:
    if isinstance(one, DeleverError) or isinstance(other, DeleverError):
        return str(one) == str(other) and type(one) is type(other)
    pairs = zip(one.changes, other.changes, strict=True)
    return one[1:] == other[1:] and all(np.array_equal(*pair) for pair in pairs)


def _exposures(ask: Ask, answer: object, index: pd.DatetimeIndex) -> Columns:
    """Exposures of an answer to many combinations; refuses what is not on the bars' own index."""
    held = answer
    if isinstance(answer, pd.DataFrame):
        if EXPOSURE not in answer:
            ask.refuse("a frame without exposures")
        if any(name in ORDERS for name in answer):
            ask.refuse("orders beside its exposures")
        patterns = [str(name).replace(IN_NAMES, "*") for name in answer if IN_NAMES in str(name)]
        if any(fnmatchcase(own, each) for own in (EXPOSURE, *ORDERS) for each in patterns):
            ask.refuse("a number in the name of an order")
        held = answer[EXPOSURE]
        names_rows = not answer.index.equals(pd.RangeIndex(len(answer)))
        if names_rows and not answer.index.equals(index):
            ask.refuse("exposures on another index")
    if isinstance(held, pd.Series):
        held = held.array if isinstance(held.array, Columns) else same_for_all(ask, held)
    if not isinstance(held, Columns):
        ask.refuse(f"an answer that is a {type(answer).__name__}")
    assert held.ask is ask  # else it refuses
    if not held.index.equals(index) or held.values.dtype == np.bool_:
        ask.refuse("exposures on another index, or flags in their place")
    return held
