"""Combinations of a sweep by number: a million of them are no more than the axes they come from."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Rows, shown
from delever.errors import InputError
from delever.study.settings.config import MOST_VALUES, Axis, Range, SweepConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Every combination of some axes, or a sample of them, each once and in order.

    A combination is made when it is asked for. Iteration gives mappings from an axis to its value.
    """

    axes: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]  # of each axis, each once
    asked: int  # combinations asked for, repeats among them
    # shape (combinations, axes): which value each has on each axis; None: all combinations, those
    # of the last axis fastest
    sample: npt.NDArray[np.int32] | None = None

    @classmethod
    def of(cls, lists: Mapping[str, Sequence[Any]]) -> Grid:
        """All combinations of lists of values."""
        values = tuple(tuple(_once(each)) for each in lists.values())
        asked = math.prod(len(each) for each in lists.values())
        return cls(axes=tuple(lists), values=values, asked=asked)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(map(len, self.values))

    def __len__(self) -> int:
        return math.prod(self.sizes) if self.sample is None else len(self.sample)

    def places(self, rows: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Which value combinations have on each axis, shape (rows, axes)."""
        chosen = np.asarray(rows, dtype=np.int64)
        if self.sample is not None:
            return self.sample[chosen].astype(np.int64)
        return np.column_stack(np.unravel_index(chosen, self.sizes)).astype(np.int64)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return next(self.some([range(len(self))[row]]))

    def some(self, rows: npt.ArrayLike) -> Iterator[dict[str, Any]]:
        """Combinations by number, one after the other."""
        for places in self.places(rows).tolist():
            yield {
                axis: each[place]
                for axis, each, place in zip(self.axes, self.values, places, strict=True)
            }

    def __iter__(self) -> Iterator[dict[str, Any]]:
        together = 4_096
        for first in range(0, len(self), together):
            yield from self.some(np.arange(first, min(first + together, len(self))))

    def apart(self, axes: Sequence[str]) -> Iterator[dict[str, Any]]:
        """What combinations are on some of the axes, each once."""
        own = [self.axes.index(axis) for axis in axes]
        values = [self.values[place] for place in own]
        places: npt.NDArray[np.int64]
        if self.sample is None:
            every = np.arange(math.prod(map(len, values)))
            sizes = tuple(map(len, values)) or (1,)
            places = np.column_stack(np.unravel_index(every, sizes))
        else:
            places = np.unique(self.sample[:, own], axis=0).astype(np.int64)
        for row in places.tolist():
            yield {axis: each[at] for axis, each, at in zip(axes, values, row, strict=False)}

    def frame(self, rows: Rows) -> pd.DataFrame:
        """A column per axis of some combinations: values of one kind, else texts of them."""
        places = self.places(rows)
        return pd.DataFrame(
            {
                axis: pd.Series(_alike(each)).take(places[:, number]).reset_index(drop=True)
                for number, (axis, each) in enumerate(zip(self.axes, self.values, strict=True))
            }
        )

    @cached_property
    def sha256(self) -> str:
        """Hash of what all combinations are."""
        told = hashlib.sha256(json.dumps([self.axes, self.values], default=str).encode())
        if self.sample is not None:
            told.update(np.ascontiguousarray(self.sample).tobytes())
        return told.hexdigest()


_SUCH_AS = 'such as {"weeks": range(50, 250, 10)}'


def study_path(given: object, what: str) -> Path:
    """Path of a study file.

    Raises InputError if it is anything else.
    """
    if isinstance(given, str | Path):
        return Path(given)
    raise InputError(
        f"{what} needs a market, as dl.market returns it, several, as dl.markets returns them, or "
        f"a study file; got {shown(given)}"
    )


def axes_given(axes: Mapping[str, Iterable[Any]]) -> dict[str, list[Any]]:
    """Values of each axis as lists; NumPy's numbers as Python's.

    Raises InputError if an axis has no name, is no list, or has no value.
    """
    if not isinstance(axes, Mapping):
        raise InputError(f"axes must be named values, {_SUCH_AS}; got {shown(axes)}")
    for name, values in axes.items():
        if not isinstance(name, str):
            raise InputError(f"the name of an axis must be text, {_SUCH_AS}; got {shown(name)}")
        if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
            raise InputError(
                f"the axis {name!r} must be a list or a range of values, {_SUCH_AS}; "
                f"got {shown(values)}"
            )
    lists = {
        name: [
            one.item() if isinstance(one, np.generic) else one
            for one in itertools.islice(values, MOST_VALUES + 1)
        ]
        for name, values in axes.items()
    }
    for name, held in lists.items():
        if len(held) > MOST_VALUES:
            raise InputError(
                f"the axis {name!r} must have at most {MOST_VALUES:,} values; got more; take "
                "larger steps"
            )
    if not lists or not all(lists.values()):
        raise InputError(f"axes must be given, each with a value, {_SUCH_AS}; got {shown(lists)}")
    return lists


def combinations(config: SweepConfig) -> Grid:
    """Every combination that is to be run, without repeats.

    Raises ConfigError if a range of a grid has no step.

    A Sobol sample is scrambled with the seed and spreads evenly for a power of two; see Owen
    (1998), Scrambling Sobol' and Niederreiter-Xing points, doi:10.1006/jcom.1998.0487.
    """
    axes = config.axes
    if config.samples is None:
        return Grid.of(
            {
                name: axis.values() if isinstance(axis, Range) else axis
                for name, axis in axes.items()
            }
        )
    shares = _shares(config, len(axes))
    values, columns = [], []
    for axis, column in zip(axes.values(), shares.T.tolist(), strict=True):
        drawn = [_at(axis, share) for share in column]
        held = _once(drawn)
        place = {repr(value): number for number, value in enumerate(held)}
        values.append(tuple(held))
        columns.append([place[repr(value)] for value in drawn])
    places = np.array(columns, dtype=np.int32).T
    first = np.sort(np.unique(places, axis=0, return_index=True)[1])
    return Grid(axes=tuple(axes), values=tuple(values), asked=config.samples, sample=places[first])


def with_axes(rows: pd.DataFrame, grid: Grid, own: Rows) -> pd.DataFrame:
    """Rows of combinations, their own values and what became of them in front."""
    said = rows[["start", "first_decision", "error"]]
    return pd.concat([grid.frame(own), said, rows.drop(columns=list(said))], axis=1)


def _once(values: Sequence[Any]) -> list[Any]:
    return list({repr(value): value for value in values}.values())


def _alike(values: Sequence[Any]) -> list[Any]:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if numbers or all(isinstance(v, str) for v in values):
        return list(values)
    texts = [
        "none" if value is None else value if isinstance(value, str) else json.dumps(value)
        for value in values
    ]
    return texts if len(set(texts)) == len(texts) else [json.dumps(value) for value in values]


def _shares(config: SweepConfig, axes: int) -> npt.NDArray[np.float64]:
    assert config.samples is not None
    if config.choose == "random":
        return np.random.default_rng(config.seed).random((config.samples, axes))
    from scipy.stats import qmc

    power = math.ceil(math.log2(config.samples))
    drawn = qmc.Sobol(axes, rng=np.random.default_rng(config.seed)).random_base2(power)
    return np.asarray(drawn[: config.samples], dtype=np.float64)


def _at(axis: Axis, share: float) -> Any:
    return axis.at(share) if isinstance(axis, Range) else axis[int(share * len(axis))]
