"""What a metric is: a function of a run's bars and trades, with its row in every table."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Literal, ParamSpec, get_args

import numpy as np
from numpy.typing import NDArray

from delever.errors import InputError
from delever.stats.sample import Sample, Sums

__all__ = ["EVERYWHERE", "SCOPES", "Metric", "Scope", "metric", "metric_of"]

_P = ParamSpec("_P")
FromSums = Callable[[Sums], NDArray[np.float64]]
Better = Literal["higher", "lower"] | None
Unit = Literal["fraction", "ratio", "bars", "days", "count", "per_year"]
Scope = Literal["whole", "inside", "outside", "phase", "period"]
"""A whole run, all its bars inside or outside periods, one phase of all periods, one period."""

SCOPES: tuple[Scope, ...] = ("whole", "inside", "outside")
"""The scopes that make up a run; phases and single periods are further ones."""

EVERYWHERE: tuple[Scope, ...] = get_args(Scope)
"""Every scope."""

_QUANTITIES = ("returns", "benchmark", "exposure", "turnover", "trades", "closed_pnl",
               "periods_per_year", "days_per_bar")  # fmt: skip
_ROW = "metric"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number that describes a run, or the part of it that lies in a scope.

    Attributes
    ----------
    name : str
        Its key in frames, files and configs: a lower-case identifier.
    label : str
        Its name on a page.
    unit : {"fraction", "ratio", "bars", "days", "count", "per_year"}
        What it is counted in.
    better : {"higher", "lower"} or None
        Which of two values is to be preferred; None where neither is.
    formula : str
        One line of plain text.
    source : str
        Where the definition comes from.
    scopes : tuple of {"whole", "inside", "outside", "phase", "period"}
        Where it is defined. Elsewhere it is not computed, stored, printed or compared.
    compute : callable
        From a `Sample` to a float; NaN where it is undefined.
    from_sums : callable or None
        From `Sums` to the same number of each account, shape (accounts,), so that a sweep has it
        without the bars of each account; None where the sums do not hold it.
    against_benchmark : bool
        Whether it compares the run with its benchmark.

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

    def __post_init__(self) -> None:
        name = self.name
        if not (name.isidentifier() and name == name.lower()) or name.startswith(
            ("inside_", "outside_")
        ):
            raise InputError(
                "a metric's name must be a lower-case identifier that does not begin with inside_ "
                f"or outside_; got {name!r}; give it a name"
            )
        for part in ("label", "formula", "source"):
            text = getattr(self, part)
            if not text or "|" in text or "\n" in text:
                raise InputError(
                    f"metric {name}: {part} must be one line of text without '|'; got {text!r}"
                )
        choices: tuple[tuple[str, tuple[object, ...], Sequence[object]], ...] = (
            ("unit", (self.unit,), get_args(Unit)),
            ("better", (self.better,), ("higher", "lower", None)),
            ("scopes", self.scopes or ("none",), EVERYWHERE),
        )
        for part, given, known in choices:
            wrong = [repr(each) for each in given if each not in known]
            if wrong:
                raise InputError(
                    f"metric {name}: {part} must be of {', '.join(map(str, known))}; "
                    f"got {', '.join(wrong)}"
                )


def metric(
    *,
    label: str,
    unit: Unit,
    better: Better,
    formula: str,
    source: str,
    scopes: tuple[Scope, ...] = EVERYWHERE,
    name: str = "",
    from_sums: FromSums | None = None,
) -> Callable[[Callable[_P, float]], Callable[_P, float]]:
    """Make a function a metric: give it its row and the scopes in which it means something.

    The function stays what it is. Its parameters say what of a run it reads, by name: ``returns``,
    ``benchmark``, ``exposure``, ``turnover``, ``trades``, ``closed_pnl``, ``periods_per_year``,
    ``days_per_bar`` (see `Sample`), or ``sample`` for all of it; others need a default. Without a
    benchmark, a metric that reads it is NaN.

    Parameters
    ----------
    label, unit, better, formula, source, scopes, from_sums
        As in `Metric`.
    name : str
        Name of the metric; that of the function when left out.

    Returns
    -------
    callable
        Makes a function a metric; `metric_of` reads the row back. Formula and source are added to
        the Notes of its docstring.

    Raises
    ------
    InputError
        As `Metric`, or if the function asks for something a run does not have.

    Examples
    --------
    >>> import pandas as pd
    >>> from delever.stats.metrics import compute
    >>> @metric(label="Ulcer index", unit="fraction", better="lower",
    ...         formula="sqrt(mean(D ** 2)), D = W / max(1, W so far) - 1",
    ...         source="Martin and McCann (1989)", scopes=("whole", "period"))
    ... def ulcer_index(returns):
    ...     wealth = np.append(1.0, np.cumprod(1.0 + returns))
    ...     fall = wealth / np.maximum.accumulate(wealth) - 1.0
    ...     return float(np.sqrt(np.mean(fall[1:] ** 2)))
    >>> ulcer_index(np.array([-0.5, 0.0]))
    0.5
    >>> days = pd.date_range("2021-01-01", periods=2, tz="UTC")
    >>> flat = pd.Series(0.0, index=days)
    >>> sample = Sample(
    ...     returns=pd.Series([-0.5, 0.0], index=days), benchmark=None, exposure=flat,
    ...     turnover=flat, trades=pd.DataFrame(columns=["exit_time", "net_pnl", "status"]),
    ...     periods_per_year=365.0)
    >>> compute(sample, [ulcer_index], scope="whole").to_dict()
    {'ulcer_index': 0.5}
    >>> compute(sample, [ulcer_index], scope="inside").to_dict()  # not defined there
    {'ulcer_index': nan}
    """

    def attach(function: Callable[_P, float]) -> Callable[_P, float]:
        own = name or getattr(function, "__name__", "")
        reads = _reads(function, own)
        row = Metric(
            name=own,
            label=label,
            unit=unit,
            better=better,
            formula=formula,
            source=source,
            scopes=tuple(scopes),
            compute=_of_sample(function, own, reads),
            from_sums=from_sums,
            against_benchmark="benchmark" in reads,
        )
        function.__dict__[_ROW] = row
        function.__doc__ = _with_notes(
            inspect.getdoc(function) or label, f"``{formula}``\n{source}."
        )
        return function

    return attach


def metric_of(item: object) -> Metric:
    """Row of a function that `metric` was put on; a row is its own.

    Parameters
    ----------
    item : Metric or callable
        Such as `delever.stats.performance.sharpe_ratio`.

    Returns
    -------
    Metric

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
            f"a metric must be a function with @metric(label=..., unit=..., ...) above it, or a "
            f"Metric; got {getattr(item, '__name__', repr(item))}"
        )
    return row


def _reads(function: Callable[..., float], name: str) -> tuple[str, ...]:
    """Which quantities of a sample a function asks for."""
    asked = inspect.signature(function).parameters
    unknown = [
        one
        for one, parameter in asked.items()
        if one not in (*_QUANTITIES, "sample") and parameter.default is parameter.empty
    ]
    if unknown:
        raise InputError(
            f"metric {name}: a parameter must be sample, one of {', '.join(_QUANTITIES)}, or have "
            f"a default; got {', '.join(unknown)}"
        )
    return tuple(one for one in asked if one in (*_QUANTITIES, "sample"))


def _of_sample(
    function: Callable[..., float], name: str, reads: Sequence[str]
) -> Callable[[Sample], float]:
    @wraps(function)
    def compute(sample: Sample) -> float:
        if "benchmark" in reads and sample.benchmark is None:
            return math.nan
        given = {one: sample if one == "sample" else getattr(sample, one) for one in reads}
        value = function(**given)
        if not isinstance(value, numbers.Real):
            raise InputError(f"metric {name} must give a number; got {type(value).__name__}")
        return float(value)

    return compute


def _with_notes(doc: str, notes: str) -> str:
    """A docstring whose Notes begin with formula and source."""
    for section in ("\n\nNotes\n-----\n", "\n\nReferences\n", "\n\nExamples\n"):
        before, found, after = doc.partition(section)
        if found:
            rest = f"\n\n{after}" if "Notes" in section else f"{section}{after}"
            return f"{before}\n\nNotes\n-----\n{notes}{rest}"
    return f"{doc}\n\nNotes\n-----\n{notes}"
