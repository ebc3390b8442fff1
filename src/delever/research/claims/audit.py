"""Claims about a market, audited: what was said, how it can be measured, what comes out.

A claim is often true by one definition and false by another (a week of seven days or of the
calendar, a close or a low, one average or another). So a claim lists its definitions, each with a
computation and what the claim expects of it; the verdict names those that hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

import pandas as pd

from delever.errors import InputError, NotStoredError
from delever.research.claims.computations import vocabulary
from delever.research.claims.protocol import ClaimFigure, ClaimSource, ClaimUnit, Computation

ClaimVerdict: TypeAlias = Literal[
    "confirmed", "contradicted", "depends on the definition", "not testable"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a claim says a figure is."""

    # ``near``: within `tolerance` of `low`; ``below`` and ``above``: at most `high`, at least
    # `low`; ``between``: from `low` to `high`; ``since``: a date from `low` to `high` or earlier,
    # for then the claim says less than it could
    test: Literal["near", "below", "above", "between", "since"]
    # in the unit of the figure; the one that a test does not read is NaN
    low: float | pd.Timestamp = float("nan")
    high: float | pd.Timestamp = float("nan")
    tolerance: float = 0.0  # in the unit of the figure, >= 0

    def holds(self, value: Any) -> bool:
        """Whether a figure is as expected."""
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
        """Past rows at which the same could have been said, or more."""
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
class ClaimDefinition:
    """One way to measure a claim."""

    label: str  # what is particular about it
    compute: str  # name of a computation, see `vocabulary`
    series: str  # name of the series
    at: pd.Timestamp  # UTC; the stamp of the row it is about
    options: Mapping[str, Any] = field(default_factory=dict)  # further arguments of the computation
    # none: the figure is shown beside the others and decides nothing
    expects: Expectation | None = None
    # measured on another series than the claim's, so that it can neither confirm nor contradict it
    stand_in: bool = False
    base_rate: bool = True  # false where a base rate would mean nothing, as for a price


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something that was said about a market."""

    id: str  # short and unique
    statement: str  # what was said, in one sentence
    said: pd.Timestamp  # when, UTC
    definitions: tuple[ClaimDefinition, ...]  # at least one of them expects something


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a definition came to."""

    definition: ClaimDefinition
    # the figure; None when it could not be measured, NaT for a date that is not in the data
    value: float | pd.Timestamp | None
    unit: ClaimUnit  # of the figure
    holds: bool | None = None  # none when nothing was expected or nothing could be measured
    # share of past rows at which the same could have been said; NaN where there is none
    base_rate: float = float("nan")
    rows: int = 0  # how many past rows the base rate was counted over
    missing: str = ""  # why it could not be measured; empty when it was
    note: str = ""  # what was measured, in words; mostly empty


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedClaim:
    """A claim with its verdict."""

    claim: Claim
    verdict: ClaimVerdict
    because: str  # the definitions it holds by, those it fails by, and what is missing
    measured: tuple[Measurement, ...]  # one per definition


def audit(
    claims: Sequence[Claim],
    sources: Mapping[str, ClaimSource],
    *,
    computations: Iterable[Computation] = (),
) -> tuple[AuditedClaim, ...]:
    """Audit claims; `computations` are further ones that they may name.

    Raises InputError if a computation is unknown, its options do not fit, or two share a name.
    """
    known = vocabulary(computations)
    return tuple(_audit_claim(claim, sources, known) for claim in claims)


def _audit_claim(
    claim: Claim, sources: Mapping[str, ClaimSource], known: Mapping[str, Computation]
) -> AuditedClaim:
    measured = tuple(_measure(one, sources, known) for one in claim.definitions)
    decided = [one for one in measured if one.holds is not None]
    missing = [one for one in measured if one.missing and one.definition.expects is not None]
    # What a stand-in says neither confirms nor contradicts.
    direct = {one.holds for one in decided if not one.definition.stand_in}
    verdict: ClaimVerdict
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
    return AuditedClaim(claim=claim, verdict=verdict, because="; ".join(parts), measured=measured)


def _understated(one: Measurement) -> bool:
    expects, value = one.definition.expects, one.value
    if expects is None or expects.test != "since" or not isinstance(value, pd.Timestamp):
        return False
    return bool(value < expects.low)  # type: ignore[operator]


def _measure(
    definition: ClaimDefinition,
    sources: Mapping[str, ClaimSource],
    known: Mapping[str, Computation],
) -> Measurement:
    if definition.compute not in known:
        raise InputError(
            f"compute must be one of {', '.join(known)}; got {definition.compute!r} "
            f"({definition.label})"
        )
    computation = known[definition.compute]
    takes = computation.options()
    try:
        options = {
            key: _source(sources, given) if takes.get(key, (None,))[0] is ClaimSource else given
            for key, given in definition.options.items()
        }
        figure = computation.compute(_source(sources, definition.series), definition.at, **options)
        _reaches_back(figure, definition, sources)
    except NotStoredError as error:
        return Measurement(
            definition=definition, value=None, unit=computation.unit, missing=str(error)
        )
    expects = definition.expects
    rate, rows = _base_rate(figure, definition)
    return Measurement(
        definition=definition,
        value=figure.value,
        unit=computation.unit,
        holds=None if expects is None else expects.holds(figure.value),
        base_rate=rate,
        rows=rows,
        note=figure.note,
    )


def _source(sources: Mapping[str, ClaimSource], name: str) -> ClaimSource:
    if name not in sources:
        raise NotStoredError(f"series {name!r} would decide it and is not there")
    return sources[name]


def _reaches_back(
    figure: ClaimFigure, definition: ClaimDefinition, sources: Mapping[str, ClaimSource]
) -> None:
    """No earlier date in data that begin after the date claimed proves nothing."""
    expects = definition.expects
    if expects is None or expects.test != "since" or not pd.isna(figure.value):
        return
    first = sources[definition.series].frame.index[0]
    if first > expects.low:
        raise NotStoredError(
            f"series {definition.series!r} begins {first:%F}, after the date it is compared with"
        )


def _base_rate(figure: ClaimFigure, definition: ClaimDefinition) -> tuple[float, int]:
    past: pd.Series | None = None
    if figure.events is not None:
        past = figure.events[figure.events.index < definition.at]
    elif figure.history is not None and definition.expects is not None:
        earlier = figure.history[figure.history.index < definition.at].dropna()
        past = definition.expects.as_extreme(earlier)
    if past is None or past.empty or not definition.base_rate:
        return float("nan"), 0
    return float(past.mean()), len(past)
