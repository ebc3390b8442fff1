"""What a metric is: a function of a run's bars and trades, with its row in every table."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from types import MappingProxyType
from typing import Literal, ParamSpec, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delever.arguments import aligned, checked
from delever.docstrings import completed
from delever.errors import InputError
from delever.stats.sample import Sample, Sums

_P = ParamSpec("_P")
FromSums = Callable[[Sums], NDArray[np.float64]]
Better = Literal["higher", "lower"] | None
Unit = Literal["fraction", "ratio", "bars", "days", "count", "per_year"]
Scope = Literal["whole", "inside", "outside", "phase", "period"]
"""A whole run, all its bars inside or outside periods, one phase of all periods, one period."""

SCOPES: tuple[Scope, ...] = ("whole", "inside", "outside")
"""The scopes that make up a run; phases and single periods are further ones."""

EVERYWHERE: tuple[Scope, ...] = get_args(Scope)

_ROW = "metric"
_BARS = "array_like of float, shape (n,)\n    "
_READ: Mapping[str, str] = MappingProxyType(
    {
        "returns": f"{_BARS}Simple return of each bar, fraction >= -1, oldest first.",
        "benchmark": f"{_BARS}The benchmark's returns of the same bars.",
        "exposure": f"{_BARS}Signed notional per equity at each bar's close.",
        "turnover": f"{_BARS}Traded notional per equity of each bar, >= 0.",
        "trades": "pandas.DataFrame\n    Round trips, as in `Sample`.",
        "closed_pnl": "array_like of float, shape (trades,)\n    Net result of each closed trade, "
        "after fees and funding, in quote currency.",
        "periods_per_year": "float\n    Bars over elapsed years, see `Sample`.",
        "elapsed": f"{_BARS}Days from the open of the first bar to the close of each; by default a "
        "day a bar.",
        "spans": f"{_BARS}Bars of time that each bar stands for, with those missing after it; by "
        "default one.",
        "sample": "Sample\n    All of it.",
    }
)
"""What a metric may read of a run, and how its docstring says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number that describes a run, or the part of it that lies in a scope.

    Attributes
    ----------
    name, label : str
        Its key in frames, files and configs, a lower-case identifier; its name on a page.
    unit : {"fraction", "ratio", "bars", "days", "count", "per_year"}
    better : {"higher", "lower"} or None
        Which of two values is to be preferred; None where neither is.
    formula, source : str
        What it is, in one line of plain text, and where the definition comes from.
    scopes : tuple of {"whole", "inside", "outside", "phase", "period"}
        Where it is defined. Elsewhere it is not computed, stored, printed or compared.
    compute : callable
        From a `Sample` to a float; NaN where it is undefined.
    from_sums : callable or None
        From `Sums` to the same number of each account, shape (accounts,), so that a sweep has it
        without the bars of each account; None where the sums do not hold it.
    against_benchmark, yearly : bool
        Whether it compares the run with its benchmark; whether it says what a year of such bars
        would come to, and so is only a speed of what is shorter.

    Raises
    ------
    InputError
        If the name is no lower-case identifier or begins like a sweep's column of a scope, a text
        is empty or would break a Markdown table, or unit, direction or a scope is another word.
    """

    name: str
    label: str
    unit: Unit
    better: Better
    formula: str
    source: str
    compute: Callable[[Sample], float]
    scopes: tuple[Scope, ...] = EVERYWHERE
    from_sums: FromSums | None = None
    against_benchmark: bool = False
    yearly: bool = False

    def __post_init__(self) -> None:
        if (
            not self.name.isidentifier()
            or self.name != self.name.lower()
            or (self.name.startswith(("inside_", "outside_")))
        ):
            raise InputError(
                "a metric's name must be a lower-case identifier that does not begin with inside_ "
                f"or outside_; got {self.name!r}; give it a name"
            )
        for part in ("label", "formula", "source"):
            text = getattr(self, part)
            if not text or "|" in text or "\n" in text:
                raise InputError(
                    f"metric {self.name}: {part} must be one line of text without '|'; got {text!r}"
                )
        words: Sequence[tuple[str, Sequence[object], Sequence[object]]] = (
            ("unit", [self.unit], get_args(Unit)),
            ("better", [self.better], ("higher", "lower", None)),
            ("scopes", self.scopes or ["none"], EVERYWHERE),
        )
        for part, given, known in words:
            wrong = [repr(each) for each in given if each not in known]
            if wrong:
                raise InputError(
                    f"metric {self.name}: {part} must be of {', '.join(map(str, known))}; "
                    f"got {', '.join(wrong)}"
                )


def metric(
    *,
    unit: Unit,
    formula: str,
    better: Better = None,
    source: str = "definition of this project",
    scopes: Sequence[Scope] = EVERYWHERE,
    name: str | None = None,
    label: str | None = None,
    from_sums: FromSums | None = None,
) -> Callable[[Callable[_P, float]], Callable[_P, float]]:
    """Make a function a metric: give it its row and the scopes in which it means something.

    Its parameters say what of a run it reads, by name: ``returns``, ``benchmark``, ``exposure``,
    ``turnover``, ``trades``, ``closed_pnl``, ``periods_per_year``, ``elapsed``, ``spans`` (see
    `Sample`), or ``sample`` for all of it; others need a default. Without a benchmark, a metric
    that reads it is NaN. The function comes back as it was, but checks its arguments against its
    annotations and says in its docstring what its row says; `metric_of` reads the row.

    Parameters
    ----------
    unit, formula, better, source, scopes, from_sums
        As in `Metric`.
    name, label : str, optional
        As in `Metric`; the function's name, and the words of the metric's name, when left out.

    Raises
    ------
    InputError
        As `Metric`, or if the function asks for something a run does not have.

    Examples
    --------
    >>> @metric(unit="fraction", better="lower", scopes=("whole", "period"),
    ...         formula="sqrt(mean(D ** 2)), D = W / max(1, W so far) - 1",
    ...         source="Martin and McCann (1989)")
    ... def ulcer_index(returns):
    ...     wealth = np.append(1.0, np.cumprod(1.0 + returns))
    ...     fall = wealth / np.maximum.accumulate(wealth) - 1.0
    ...     return float(np.sqrt(np.mean(fall[1:] ** 2)))
    >>> ulcer_index(np.array([-0.5, 0.0])), metric_of(ulcer_index).label
    (0.5, 'Ulcer index')
    """

    def attach(function: Callable[_P, float]) -> Callable[_P, float]:
        own = getattr(function, "__name__", "") if name is None else name
        asked = inspect.signature(function).parameters.values()
        unknown = [p.name for p in asked if p.name not in _READ and p.default is p.empty]
        if unknown:
            raise InputError(
                f"metric {own}: a parameter must be one of {', '.join(_READ)}, or have a default; "
                f"got {', '.join(unknown)}"
            )
        reads = [p.name for p in asked if p.name in _READ]
        # The trades of a run stand on no index of bars.
        guarded = checked(function) if "trades" in reads else aligned(function)
        row = Metric(
            name=own,
            label=own.replace("_", " ").capitalize() if label is None else label,
            unit=unit,
            better=better,
            formula=formula,
            source=source,
            scopes=tuple(scopes),
            compute=_of_sample(function, guarded, own, reads),
            from_sums=from_sums,
            against_benchmark="benchmark" in reads,
            yearly="periods_per_year" in reads,
        )
        guarded.__dict__[_ROW] = row
        guarded.__doc__ = _documented(inspect.getdoc(function) or row.label, row, reads)
        return guarded

    return attach


def metric_of(item: object) -> Metric:
    """Row of a function that `metric` was put on; a row is its own.

    Raises
    ------
    InputError
        If it is neither.

    Examples
    --------
    >>> from delever.stats.performance import sharpe_ratio
    >>> metric_of(sharpe_ratio).label
    'Sharpe ratio'
    """
    row = item if isinstance(item, Metric) else getattr(item, "__dict__", {}).get(_ROW)
    if not isinstance(row, Metric):
        raise InputError(
            "a metric must be a function with @metric(unit=..., formula=...) above it, or a "
            f"Metric; got {getattr(item, '__name__', repr(item))}"
        )
    return row


def _of_sample(
    function: Callable[..., float], guarded: Callable[..., float], name: str, reads: Sequence[str]
) -> Callable[[Sample], float]:
    """A metric of a sample, whose series are checked; what fails is said by the guarded one."""

    @wraps(function)
    def compute(sample: Sample) -> float:
        if "benchmark" in reads and sample.benchmark is None:
            return math.nan
        given = {one: sample if one == "sample" else getattr(sample, one) for one in reads}
        try:
            value = function(**given)
        except (LookupError, OverflowError, pd.errors.OutOfBoundsTimedelta):
            value = guarded(**given)
        if not isinstance(value, numbers.Real):
            raise InputError(f"metric {name} must give a number; got {type(value).__name__}")
        return float(value)

    return compute


def _documented(text: str, row: Metric, reads: Sequence[str]) -> str:
    """A docstring with what the row says: parameters, unit, formula and source."""
    notes = f"``{row.formula}``: {row.source}."
    return completed(text, reads, _READ, Returns=f"float\n    Unit: {row.unit}.", Notes=notes)
