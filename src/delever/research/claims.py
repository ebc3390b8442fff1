"""Claims about a market, audited: what was said, how it can be measured, what comes out.

A claim is often true by one definition and false by another (a week of seven days or of the
calendar, a close or a low, one average or another). So a claim lists its definitions, each with a
computation of the fixed vocabulary and what was expected of it; the verdict names those that hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

import pandas as pd

from delever.errors import InputError, NotStoredError
from delever.research.claim_figures import VOCABULARY, Figure, Source, Unit

__all__ = [
    "Audited",
    "Claim",
    "Definition",
    "Expectation",
    "Measured",
    "Verdict",
    "audit",
    "audit_claim",
]

Verdict: TypeAlias = Literal[
    "confirmed", "contradicted", "depends on the definition", "not testable"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a claim says a figure is.

    Attributes
    ----------
    test : {"near", "below", "above", "between", "since"}
        ``near``: within `tolerance` of `low`; ``below`` and ``above``: at most `high`, at least
        `low`; ``between``: from `low` to `high`; ``since``: a date from `low` to `high` or
        earlier, for then the claim says less than it could.
    low, high : float or pandas.Timestamp
        In the unit of the figure; the one that a test does not read is NaN.
    tolerance : float
        In the unit of the figure, >= 0.
    """

    test: Literal["near", "below", "above", "between", "since"]
    low: float | pd.Timestamp = float("nan")
    high: float | pd.Timestamp = float("nan")
    tolerance: float = 0.0

    def holds(self, value: Any) -> bool:
        """Whether a figure is as expected.

        Parameters
        ----------
        value : float or pandas.Timestamp
            The figure; NaT (no earlier date) is as early as can be.

        Returns
        -------
        bool
        """
        low: Any = self.low
        high: Any = self.high
        if self.test == "since":
            return bool(pd.isna(value) or value <= high)
        if self.test == "near":
            return bool(abs(value - low) <= self.tolerance)
        return bool(
            (self.test == "above" or value <= high) and (self.test == "below" or value >= low)
        )

    def as_extreme(self, history: pd.Series) -> pd.Series:
        """Past rows at which the same could have been said, or more.

        Parameters
        ----------
        history : pandas.Series, shape (n,)
            The figure at past rows.

        Returns
        -------
        pandas.Series of bool, shape (n,)
            For ``near``, rows at least as far from the median of the past as the claim, on its
            side; else rows that pass the test.
        """
        if self.test != "near":
            passed = pd.Series(True, index=history.index)
            if self.test in ("below", "between"):
                passed &= history <= self.high
            if self.test in ("above", "between"):
                passed &= history >= self.low
            return passed
        claimed = cast("float", self.low)
        if claimed < history.median():
            return history <= claimed + self.tolerance
        return history >= claimed - self.tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One way to measure a claim.

    Attributes
    ----------
    label : str
        What is particular about it.
    compute : str
        A name in `delever.research.claim_figures.VOCABULARY`.
    series : str
        Name of the series.
    at : pandas.Timestamp
        UTC; the stamp of the row it is about.
    options : mapping
        Further arguments of the computation.
    expects : Expectation or None
        None: the figure is shown beside the others and decides nothing.
    stand_in : bool
        Measured on another series than the claim's, so that it can neither confirm nor
        contradict it.
    base_rate : bool
        False where a base rate would mean nothing, as for a price.
    """

    label: str
    compute: str
    series: str
    at: pd.Timestamp
    options: Mapping[str, Any] = field(default_factory=dict)
    expects: Expectation | None = None
    stand_in: bool = False
    base_rate: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something that was said about a market.

    Attributes
    ----------
    id : str
        Short and unique.
    statement : str
        What was said, in one sentence.
    said : pandas.Timestamp
        When, UTC.
    definitions : tuple of Definition
        At least one of them expects something.
    """

    id: str
    statement: str
    said: pd.Timestamp
    definitions: tuple[Definition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a definition came to.

    Attributes
    ----------
    definition : Definition
        The definition.
    value : float or pandas.Timestamp or None
        The figure; None when it could not be measured, NaT for a date that is not in the data.
    unit : {"number", "fraction", "date"}
        Of the figure.
    holds : bool or None
        None when nothing was expected or nothing could be measured.
    base_rate : float
        Share of past rows at which the same could have been said; NaN where there is none.
    rows : int
        How many past rows the base rate was counted over.
    missing : str
        Why it could not be measured; empty when it was.
    """

    definition: Definition
    value: float | pd.Timestamp | None
    unit: Unit
    holds: bool | None = None
    base_rate: float = float("nan")
    rows: int = 0
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """A claim with its verdict.

    Attributes
    ----------
    claim : Claim
        The claim.
    verdict : str
        See `Verdict`.
    because : str
        The definitions it holds by, those it fails by, and what is missing.
    measured : tuple of Measured
        One per definition.
    """

    claim: Claim
    verdict: Verdict
    because: str
    measured: tuple[Measured, ...]


def audit(claims: Sequence[Claim], sources: Mapping[str, Source]) -> tuple[Audited, ...]:
    """Audit claims.

    Parameters
    ----------
    claims : sequence of Claim
        In the order they are to be shown.
    sources : mapping of str to Source
        The series there are; a definition that needs another is not testable and says so.

    Returns
    -------
    tuple of Audited

    Raises
    ------
    InputError
        If a computation is unknown or its options do not fit.
    """
    return tuple(audit_claim(claim, sources) for claim in claims)


def audit_claim(claim: Claim, sources: Mapping[str, Source]) -> Audited:
    """Audit one claim.

    Parameters
    ----------
    claim : Claim
        The claim.
    sources : mapping of str to Source
        The series there are.

    Returns
    -------
    Audited

    Raises
    ------
    InputError
        If a computation is unknown or its options do not fit.

    Notes
    -----
    Of the definitions that expect something and could be measured: all hold, *confirmed*; none
    holds, *contradicted*; some do, *depends on the definition*; there is none, *not testable*.
    Definitions on a stand-in leave it at *depends on the definition* whatever they say.
    """
    measured = tuple(_measure(one, sources) for one in claim.definitions)
    decided = [one for one in measured if one.holds is not None]
    missing = [one for one in measured if one.missing and one.definition.expects is not None]
    direct = {one.holds for one in decided if not one.definition.stand_in}
    verdict: Verdict
    if not decided:
        verdict = "not testable"
    elif len(direct) == 1:
        verdict = "confirmed" if direct == {True} else "contradicted"
    else:
        verdict = "depends on the definition"
    parts = [
        f"{word}: {', '.join(labels)}"
        for word, labels in (
            ("holds", [one.definition.label for one in decided if one.holds]),
            ("fails", [one.definition.label for one in decided if not one.holds]),
            ("not testable", [f"{one.definition.label} ({one.missing})" for one in missing]),
        )
        if labels
    ]
    early = [one.definition.label for one in decided if _understated(one)]
    if early:
        parts.append(f"understated: {', '.join(early)}")
    return Audited(claim=claim, verdict=verdict, because="; ".join(parts), measured=measured)


def _understated(one: Measured) -> bool:
    expects, value = one.definition.expects, one.value
    if expects is None or expects.test != "since" or not isinstance(value, pd.Timestamp):
        return False
    return bool(value < expects.low)  # type: ignore[operator]


def _measure(definition: Definition, sources: Mapping[str, Source]) -> Measured:
    if definition.compute not in VOCABULARY:
        raise InputError(
            f"compute must be one of {', '.join(VOCABULARY)}; got {definition.compute!r} "
            f"({definition.label})"
        )
    computation = VOCABULARY[definition.compute]
    try:
        options = {
            key: _source(sources, given) if key == "beside" else given
            for key, given in definition.options.items()
        }
        figure = computation.compute(_source(sources, definition.series), definition.at, **options)
        _reaches_back(figure, definition, sources)
    except NotStoredError as error:
        return Measured(
            definition=definition, value=None, unit=computation.unit, missing=str(error)
        )
    expects = definition.expects
    rate, rows = _base_rate(figure, definition)
    return Measured(
        definition=definition,
        value=figure.value,
        unit=computation.unit,
        holds=None if expects is None else expects.holds(figure.value),
        base_rate=rate,
        rows=rows,
    )


def _source(sources: Mapping[str, Source], name: str) -> Source:
    if name not in sources:
        raise NotStoredError(f"series {name!r} would decide it and is not there")
    return sources[name]


def _reaches_back(figure: Figure, definition: Definition, sources: Mapping[str, Source]) -> None:
    """No earlier date in data that begin after the date claimed proves nothing."""
    expects = definition.expects
    if expects is None or expects.test != "since" or not pd.isna(figure.value):
        return
    first = sources[definition.series].frame.index[0]
    if first > expects.low:
        raise NotStoredError(
            f"series {definition.series!r} begins {first:%F}, after the date it is compared with"
        )


def _base_rate(figure: Figure, definition: Definition) -> tuple[float, int]:
    past: pd.Series | None = None
    if figure.events is not None:
        past = figure.events[figure.events.index < definition.at]
    elif figure.history is not None and definition.expects is not None:
        earlier = figure.history[figure.history.index < definition.at].dropna()
        past = definition.expects.as_extreme(earlier)
    if past is None or past.empty or not definition.base_rate:
        return float("nan"), 0
    return float(past.mean()), len(past)
