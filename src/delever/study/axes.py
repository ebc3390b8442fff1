"""The ``[sweep]`` table: which values of which parameters are combined, and how they are chosen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from annotated_types import Ge, Gt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from delever.errors import ConfigError

__all__ = ["Axis", "Range", "SweepConfig", "combinations"]


class Range(BaseModel):
    """Numbers from one to another."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    # both included; ``from`` and ``to`` in the file
    first: int | float = Field(alias="from", allow_inf_nan=False)
    last: int | float = Field(alias="to", allow_inf_nan=False)
    # distance of neighbours; needed in a grid. In a sample, None draws from all numbers between, or
    # from all whole ones when `first` and `last` are whole.
    step: Annotated[int | float, Gt(0)] | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _rises(self) -> Range:
        if not self.first < self.last:
            raise ValueError(f"a range must rise; got from {self.first} to {self.last}")
        return self

    def values(self) -> list[float]:
        """Every step from first to last, whole numbers where all three are."""
        if self.step is None:
            raise ConfigError(
                f"a range in a grid needs a step; got from {self.first} to {self.last}; "
                'give step, a list of values, or choose = "random"'
            )
        count = math.floor((self.last - self.first) / self.step * (1.0 + 1e-12)) + 1
        # Decimal fractions are not sums of their steps: 0.1 + 2 * 0.1 is not 0.3.
        return [_plain(self.first + place * self.step) for place in range(count)]

    def at(self, share: float) -> float:
        """Value at a share of the range, 0 <= share < 1."""
        if self.step is not None:
            values = self.values()
            return values[int(share * len(values))]
        if isinstance(self.first, int) and isinstance(self.last, int):
            return self.first + int(share * (self.last - self.first + 1))
        return self.first + share * (self.last - self.first)


Axis: TypeAlias = Range | Annotated[list[Any], Field(min_length=1)]


class SweepConfig(BaseModel):
    """The ``[sweep]`` table of a study."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    choose: Literal["grid", "random", "sobol"] = "grid"  # all combinations, or a sample of them
    samples: Annotated[int, Ge(1)] | None = None  # how many; for a sample
    seed: Annotated[int, Ge(0)] = 0  # of the sample
    # megabytes (2**20 bytes) that all workers together may take for what grows with the data:
    # targets and shared indicators
    memory: Annotated[int, Ge(64)] = 512
    params: dict[str, Axis] = {}  # axes: keys of the study's tables of those names
    costs: dict[str, Axis] = {}
    account: dict[str, Axis] = {}

    @model_validator(mode="after")
    def _fits(self) -> SweepConfig:
        if (self.choose == "grid") != (self.samples is None):
            raise ValueError("samples goes with choose = 'random' or 'sobol', and only with them")
        if not self.axes:
            raise ValueError("at least one axis is needed, in [sweep.params], costs or account")
        return self

    @property
    def axes(self) -> dict[str, Axis]:
        """Axes by dotted key of the study, those of the strategy first."""
        tables = {"params": self.params, "costs": self.costs, "account": self.account}
        return {
            f"{table}.{name}": axis for table, axes in tables.items() for name, axis in axes.items()
        }


def combinations(config: SweepConfig) -> list[dict[str, Any]]:
    """Every combination that is to be run, without repeats.

    Raises
    ------
    ConfigError
        If a range of a grid has no step.

    Notes
    -----
    A Sobol sample is scrambled with the seed and spreads evenly for a power of two; see Owen
    (1998), Scrambling Sobol' and Niederreiter-Xing points, doi:10.1006/jcom.1998.0487.

    Examples
    --------
    >>> table = {"params": {"weeks": {"from": 50, "to": 150, "step": 50}}, "costs": {}}
    >>> [one["params.weeks"] for one in combinations(SweepConfig.model_validate(table))]
    [50, 100, 150]
    """
    axes = config.axes
    if config.samples is None:
        lists = [axis.values() if isinstance(axis, Range) else axis for axis in axes.values()]
        rows: Sequence[Sequence[Any]] = list(itertools.product(*lists))
    else:
        shares = _shares(config, len(axes))
        rows = [
            [_at(axis, share) for axis, share in zip(axes.values(), row, strict=True)]
            for row in shares.tolist()
        ]
    unique: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        unique.setdefault(repr(row), dict(zip(axes, row, strict=True)))
    return [dict(one) for one in unique.values()]


def _shares(config: SweepConfig, axes: int) -> np.ndarray:
    assert config.samples is not None
    if config.choose == "random":
        return np.random.default_rng(config.seed).random((config.samples, axes))
    from scipy.stats import qmc

    power = math.ceil(math.log2(config.samples))
    drawn = qmc.Sobol(axes, rng=np.random.default_rng(config.seed)).random_base2(power)
    return np.asarray(drawn[: config.samples], dtype=np.float64)


def _at(axis: Axis, share: float) -> Any:
    return axis.at(share) if isinstance(axis, Range) else axis[int(share * len(axis))]


def _plain(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.12g}")
