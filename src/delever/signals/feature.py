"""What a feature is: a causal function of the market that carries its own facts.

The decorator `feature` writes unit, readings, warm-up and title on the function itself. From
outside it works in the same way: decorate functions, and list them in a tuple `FEATURES` of the
extension module.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import pandas as pd

from delever.bars import close_times
from delever.errors import InputError
from delever.signals.glossary import describe
from delever.view import MarketView, Price

Unit: TypeAlias = Literal[
    "fraction",
    "coefficient",
    "log",
    "deviations",
    "days",
    "count",
    "ranges",
    "points",
    "price",
    "vendor",
    "event",
]
"""Of a feature: a fraction; a correlation or slope of returns; a natural logarithm; standard
deviations; days; a signed count; average true ranges; a publisher's points; quote units per base
unit; the vendor's unit; or a bool per bar."""

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A reading that a feature needs beside the bars."""

    name: str  # in `MarketView.readings`
    columns: tuple[str, ...] = ()  # those needed; none where there is only one, of any name
    holds: str  # what the columns hold, with unit and sign
    # The least publication lag that can be honest: a shorter one would show a row before it was
    # published. How long a row takes beyond that is for the data set to declare.
    lag: pd.Timedelta

    def check(self, market: MarketView) -> None:
        """Refuse a reading that is missing or declared as known too early.

        Raises
        ------
        InputError
            Naming the reading, and the least lag that is honest.
        """
        if self.name not in market.readings:
            raise InputError(
                f"the series {self.name!r} ({self.holds}) is required; the market has "
                f"{', '.join(market.readings) or 'none'}; store it (delever data fetch, or data "
                "import) and name it in the [series] table of the study, or by --series"
            )
        declared = market.readings[self.name].publication_lag
        if declared < self.lag:
            raise InputError(
                f"the series {self.name!r} must be declared with a publication lag of at least "
                f"{self.lag}; got {declared}: its rows would be seen before they were published; "
                "add the data set again with --publication-lag"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """What must have passed before a feature can be defined; every count must be full.

    Examples
    --------
    >>> days = pd.date_range("2026-01-06", periods=30, tz="UTC")  # a Tuesday
    >>> market = MarketView(bars=pd.DataFrame({"close": 1.0}, index=days), timeframe="1d")
    >>> two_weeks = WarmUp(coarse=2).known(market, ())
    >>> two_weeks.idxmax().date()  # the Sunday that closes the second whole week
    datetime.date(2026, 1, 25)
    """

    bars: int = 1  # bars of the market, the present one included
    # whole bars of `timeframe`; one that began before the first bar is not whole
    coarse: int = 0
    timeframe: str = "1w"
    # whether those must have closed when the bar opens, as for a level, or when it closes
    before_open: bool = False
    rows: int = 1  # rows of each reading
    # days after that on the clock of each reading, one count after the other: each begins at the
    # first row at which the one before it was full
    days: tuple[float, ...] = ()
    # for features that set a reading beside the price: rows count from the first one by whose
    # publication, or so many days after its stamp if that is earlier, a bar had closed
    priced: float | None = None

    def known(self, market: MarketView, readings: Sequence[str]) -> pd.Series:
        """Bars at which every count is full: False up to some bar, True from there on."""
        known = np.arange(1, len(market.index) + 1) >= self.bars
        if self.coarse:
            coarse = pd.DatetimeIndex(market.resample(self.timeframe).index)
            closed = close_times(coarse, self.timeframe)
            at = market.index if self.before_open else market.close_time
            known &= closed.searchsorted(at, side="right") >= self.coarse
        for name in readings:
            known &= self._published(market, name)
        return pd.Series(known, index=market.index, name="known")

    def _published(self, market: MarketView, name: str) -> np.ndarray:
        reading = market.readings[name]
        said = reading.frame.notna().any(axis=1).to_numpy()
        known_at, stamps = reading.known_at[said], reading.known_at[said] - reading.publication_lag
        if self.priced is not None and len(market.index):
            lag = min(reading.publication_lag, pd.Timedelta(days=min(self.priced, 36_500)))
            first = int((stamps + lag).searchsorted(market.close_time[0]))
            known_at, stamps = known_at[first:], stamps[first:]
        row = self.rows - 1
        for days in self.days:
            if row < len(stamps):
                row = int(stamps.searchsorted(stamps[row] + pd.Timedelta(days=days)))
        if row >= len(stamps):
            return np.zeros(len(market.index), dtype=bool)
        return np.asarray(market.close_time >= known_at[row])


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A causal reading of the market, made by the decorator `feature`."""

    name: str
    unit: Unit
    words: str  # what it measures, with the sign; parameters in braces
    needs: tuple[Input, ...]
    rule: Callable[..., WarmUp]  # of the parameters it names, and of ``bar`` if it names that
    function: Callable[..., Any]
    # from the market and what the function returned to one value per bar
    read: Callable[[MarketView, Any], pd.Series] | None
    of: Callable[[MarketView], Any] | None  # the function's first argument, if not the market
    fixed: Mapping[str, object] = field(default_factory=dict)  # parameters that are its own
    # whether it may stay undefined after its warm-up, until the market has made a level; an event
    # is a bool on every bar, and never True before the warm-up
    waits: bool

    @property
    def defaults(self) -> dict[str, Any]:
        """Parameters that may be set, and their defaults."""
        _, *others = inspect.signature(self.function).parameters.values()
        return {each.name: each.default for each in others if each.name not in self.fixed}

    @property
    def prices(self) -> tuple[str, ...]:
        """Parameters that are prices, in quote units: those annotated with `Price`."""
        parameters = inspect.signature(self.function, eval_str=True).parameters.values()
        return tuple(
            each.name
            for each in parameters
            if any(isinstance(mark, Price) for mark in getattr(each.annotation, "__metadata__", ()))
        )

    def title(self, **parameters: object) -> str:
        """Say what it measures with these parameters."""
        bound = {
            name: value.replace("_", " ") if isinstance(value, str) else value
            for name, value in self._bound(parameters).items()
        }
        return self.words.format(**bound)

    def inputs(self, **parameters: object) -> tuple[Input, ...]:
        """Readings it needs with these parameters: `series` names another than the usual one."""
        series = self._bound(parameters).get("series")
        if series is None or not self.needs:
            return self.needs
        named = [need for need in self.needs if need.name == series]
        return tuple(named) or (replace(self.needs[0], name=str(series)),)

    def warm_up(self, bar: str, **parameters: object) -> WarmUp:
        """What must have passed on bars of the timeframe `bar`, with these parameters."""
        there = {"bar": bar, **self._bound(parameters)}
        return self.rule(**{name: there[name] for name in inspect.signature(self.rule).parameters})

    def known(self, market: MarketView, **parameters: object) -> pd.Series:
        """Bars at which its warm-up is over.

        Before the first True it is undefined, or False where it is an event. From there on it is
        defined if bars and readings are complete, unless it `waits`.
        """
        readings = [need.name for need in self.inputs(**parameters)]
        return self.warm_up(market.timeframe, **parameters).known(market, readings)

    def compute(self, market: MarketView, **parameters: object) -> pd.Series:
        """Measure it, trusting its readings; `delever.signals.features.measure` checks them.

        Raises
        ------
        InputError
            If there is no such parameter, or it is out of range.
        """
        # A fixed parameter stands for the title only when the function has none of its name.
        there = inspect.signature(self.function).parameters
        given = {name: value for name, value in self._bound(parameters).items() if name in there}
        made = self.function(market if self.of is None else self.of(market), **given)
        values: pd.Series = made if self.read is None else self.read(market, made)
        return values.rename(self.name)

    def _bound(self, parameters: Mapping[str, object]) -> dict[str, Any]:
        defaults = self.defaults
        wrong = [name for name in parameters if name not in defaults]
        if wrong:
            raise InputError(
                f"feature {self.name} has no parameter {wrong[0]!r}; it takes "
                f"{', '.join(defaults) or 'none'}"
            )
        return {**defaults, **parameters, **self.fixed}


def feature(
    name: str,
    *,
    unit: Unit,
    title: str,
    needs: Sequence[Input] = (),
    warm_up: Callable[..., WarmUp],
    read: Callable[[MarketView, Any], pd.Series] | None = None,
    of: Callable[[MarketView], Any] | None = None,
    columns: Sequence[str] = (),
    waits: bool = False,
    **fixed: Sequence[object],
) -> Callable[[_F], _F]:
    """Make features of a function, which stays what it is; its docstring is completed.

    Parameters
    ----------
    name : str
        Of the feature; with ``{column}`` or a fixed parameter in braces where there are several.
    unit : str
        See `Unit`.
    title : str
        What it measures, with the sign; parameters in braces.
    needs : sequence of Input
        Readings it needs. Where ``series`` is fixed, each feature needs the one it names.
    warm_up : callable
        From the parameters it names, and ``bar`` if it names that, to a `WarmUp`.
    read : callable, optional
        From the market and what the function returned to one value per bar.
    of : callable, optional
        From the market to the function's first argument; the market itself by default.
    columns : sequence of str
        Columns of the frame the function returns: one feature each.
    waits : bool
        Whether it may stay undefined after its warm-up, until the market has made a level.
    **fixed : sequence
        Values a parameter is fixed at: one feature each.

    Returns
    -------
    callable
        The decorator.

    Examples
    --------
    >>> @feature("gain", unit="fraction", title="gain of {bars} bars",
    ...          warm_up=lambda bars: WarmUp(bars=bars + 1))
    ... def gain(market: MarketView, *, bars: int = 5) -> pd.Series:
    ...     return market.bars["close"].pct_change(bars)
    >>> [made] = features_of(gain)
    >>> made.title(bars=3), made.warm_up("1d", bars=3).bars
    ('gain of 3 bars', 4)
    """
    if columns:
        fixed = {**fixed, "column": columns}

    def decorate(function: _F) -> _F:
        made = []
        for values in product(*fixed.values()):
            own = dict(zip(fixed, values, strict=True))
            one = Feature(
                name=name.format(**own),
                unit=unit,
                words=title,
                needs=tuple(need for need in needs if own.get("series", need.name) == need.name),
                rule=warm_up,
                function=function,
                read=_column(str(own["column"])) if columns else read,
                of=of,
                fixed=own,
                waits=waits or unit == "event",
            )
            made.append(one)
        about = needs[0].holds if needs else "see the market"
        describe(function, series=f"str\n    Name of the reading: {about}.")
        # Of several decorators the one written first is applied last.
        function.__dict__["features"] = (*made, *features_of(function))
        return function

    return decorate


def _column(name: str) -> Callable[[MarketView, Any], pd.Series]:
    return lambda _, table: table[name]


def features_of(function: object) -> tuple[Feature, ...]:
    """Features that a function was made into; none where it is no feature."""
    made: tuple[Feature, ...] = getattr(function, "__dict__", {}).get("features", ())
    return made
