"""A file of claims: the door where it is checked, and the series it is audited on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pydantic
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from delever.arguments import one_of, shown
from delever.errors import ConfigError, InputError, NotStoredError
from delever.report.pages import claims_page as page
from delever.research.claims.audit import AuditedClaim, Claim, ClaimDefinition, Expectation, audit
from delever.research.claims.computations import vocabulary
from delever.research.claims.protocol import ClaimSource, Computation
from delever.study.inputs.implausible import dataset_notes
from delever.study.inputs.known_readings import fitted, instead_of, known_as
from delever.study.kept.result import Result, plain
from delever.study.kept.stored import About
from delever.study.workspaces.workspace import Workspace
from delever.toml_file import read_toml

_DOOR = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)
_TESTS = ("near", "below", "above", "between", "since")


class SeriesConfig(BaseModel):
    """A line of ``[series]``: what a series is, and where it is looked for."""

    model_config = _DOOR

    what: str
    data: str


class ExpectsConfig(BaseModel):
    """``expects``: exactly one of the tests; a tolerance goes with ``near``."""

    model_config = _DOOR

    near: float | None = None
    tolerance: float | None = Field(default=None, ge=0)
    below: float | None = None
    above: float | None = None
    between: list[float] | None = Field(default=None, min_length=2, max_length=2)
    since: list[pd.Timestamp] | None = Field(default=None, min_length=2, max_length=2)

    @pydantic.model_validator(mode="after")
    def _one_test(self) -> ExpectsConfig:
        given = [name for name in _TESTS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(_TESTS)} is required; got {given}")
        if (self.tolerance is None) == (given == ["near"]):
            raise ValueError("tolerance goes with near, and with nothing else")
        pairs: list[Any] = [self.between, self.since]
        for pair in pairs:
            if pair is not None and not pair[0] <= pair[1]:
                raise ValueError("the first of a pair must not be above the second")
        return self

    def expectation(self) -> Expectation:
        """The same as the audit takes it."""
        if self.near is not None:
            return Expectation(test="near", low=self.near, tolerance=self.tolerance or 0.0)
        if self.below is not None:
            return Expectation(test="below", high=self.below)
        if self.above is not None:
            return Expectation(test="above", low=self.above)
        if self.between is not None:
            return Expectation(test="between", low=self.between[0], high=self.between[1])
        assert self.since is not None  # exactly one of them is given
        return Expectation(test="since", low=self.since[0], high=self.since[1])


class MeasureConfig(BaseModel):
    """One way to measure a claim; the keys it does not know are options of the computation."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, arbitrary_types_allowed=True)

    label: str
    compute: str
    series: str
    at: pd.Timestamp
    expects: ExpectsConfig | None = None
    stand_in: bool = False
    base_rate: bool = True

    def definition(self, known: Mapping[str, Computation]) -> ClaimDefinition:
        """The same as the audit takes it."""
        return ClaimDefinition(
            label=self.label,
            compute=self.compute,
            series=self.series,
            at=self.at,
            options=_options(known[self.compute], self.model_extra or {}),
            expects=None if self.expects is None else self.expects.expectation(),
            stand_in=self.stand_in,
            base_rate=self.base_rate,
        )


class ClaimConfig(BaseModel):
    """One ``[[claim]]``."""

    model_config = _DOOR

    id: str = Field(min_length=1)
    statement: str = Field(min_length=1)
    said: pd.Timestamp
    measure: list[MeasureConfig] = Field(min_length=1)

    @field_validator("measure")
    @classmethod
    def _something_is_expected(cls, measure: list[MeasureConfig]) -> list[MeasureConfig]:
        if all(one.expects is None for one in measure):
            raise ValueError("at least one measure must say what it expects")
        return measure


class ClaimsFile(BaseModel):
    """A whole file of claims."""

    model_config = _DOOR

    title: str  # stands above the audit
    series: dict[str, SeriesConfig]  # every series the claims name
    claim: list[ClaimConfig] = Field(min_length=1)  # the claims

    def claims(self, known: Mapping[str, Computation]) -> tuple[Claim, ...]:
        """The claims as the audit takes them."""
        return tuple(
            Claim(
                id=one.id,
                statement=one.statement,
                said=one.said,
                definitions=tuple(measure.definition(known) for measure in one.measure),
            )
            for one in self.claim
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Audit(Result):
    """What an audit of claims came to.

    Attributes
    ----------
    title : str
        Of the file.
    audited : tuple of AuditedClaim
        One per claim, in the order of the file.
    data : mapping of str to str
        Series that were there, and the reference and id of each.
    missing : mapping of str to str
        Series that were not, and what each is.
    file : str
        Name of the file, without its ending.
    notes : tuple of str
        What a reader must know of the series.
    """

    title: str
    audited: tuple[AuditedClaim, ...]
    data: Mapping[str, str]
    missing: Mapping[str, str]
    file: str
    notes: tuple[str, ...]

    @property
    def headline(self) -> str:
        """How many claims hold, do not, depend on their meaning, or cannot be tested."""
        return page.headline(self.audited)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """One row per claim and definition."""
        rows = [
            {
                "claim": one.claim.id,
                "verdict": one.verdict,
                "definition": each.definition.label,
                "value": each.value,
                "unit": each.unit,
                "holds": each.holds,
                "base_rate": each.base_rate,
            }
            for one in self.audited
            for each in one.measured
        ]
        return {"claims": pd.DataFrame(rows).set_index(["claim", "definition"])}

    def html(self) -> str:
        """The audit as a page."""
        return page.render(
            self.title, self.audited, data=self.data, missing=self.missing, notes=self.notes
        )

    @property
    def about(self) -> About:
        """What a listing says of it."""
        said = sorted(one.claim.said for one in self.audited)
        return About(
            kind="claims",
            name=self.file,
            page="claims.html",
            start=f"{said[0]:%Y-%m-%d}",
            end=f"{said[-1]:%Y-%m-%d}",
            params={"title": self.title},
            inputs={"file": self.file, "data": dict(self.data)},
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``delever claims --json`` prints, the path of its page aside."""
        return {
            "title": self.title,
            "headline": self.headline,
            "notes": list(self.notes),
            "missing": dict(self.missing),
            "claims": {
                one.claim.id: {
                    "statement": one.claim.statement,
                    "verdict": one.verdict,
                    "because": one.because,
                    "measured": [
                        {
                            "definition": each.definition.label,
                            "value": _figure(each.value),
                            "unit": each.unit,
                            "holds": each.holds,
                            "base_rate": plain(each.base_rate),
                            "missing": each.missing,
                            "note": each.note,
                        }
                        for each in one.measured
                    ],
                }
                for one in self.audited
            },
        }


def _figure(value: float | pd.Timestamp | None) -> float | str | None:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    found: float | None = plain(value)
    return found


def load_claims(path: Path, known: Mapping[str, Computation] | None = None) -> ClaimsFile:
    """Read a file of claims.

    Raises ConfigError naming the claim and key, what was required and what came.
    """
    if not path.is_file():
        raise ConfigError(f"a file of claims is required; there is none at {path}")
    table = read_toml(path, "a file of claims")
    if "strategy" in table and "claim" not in table:
        raise ConfigError(f"{path} holds a study, not claims; run: delever run {path}")
    try:
        file = ClaimsFile.model_validate(_stamped(table))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(
            f"{path}: {_place(first['loc'], table)}: {first['msg']}; got {first['input']!r}"
        ) from None
    known = known or vocabulary()
    ids = [one.id for one in file.claim]
    for position, one in enumerate(file.claim):
        if one.id in ids[:position]:
            raise ConfigError(f"{path}: every claim needs an id of its own; {one.id} repeats")
        for measure in one.measure:
            _check(measure, file, known, f"{path}: claim {one.id}, {measure.label!r}")
    return file


def _check(
    measure: MeasureConfig, file: ClaimsFile, known: Mapping[str, Computation], where: str
) -> None:
    beside = (measure.model_extra or {}).get("beside")
    for name in (measure.series, beside):
        if name is not None:
            one_of(f"{where}: series", name, file.series, ConfigError)
    one_of(f"{where}: compute", measure.compute, known, ConfigError)
    computation = known[measure.compute]
    unit = computation.unit
    if measure.expects is not None and (unit == "date") != (measure.expects.since is not None):
        raise ConfigError(
            f"{where}: {measure.compute} gives a {unit}; "
            "expects = { since = [first, last] } goes with dates, and only with them"
        )
    try:
        _options(computation, measure.model_extra or {})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        there = ", ".join(_model(computation).model_fields)
        raise ConfigError(
            f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}; "
            f"{measure.compute} takes {there}"
        ) from None


def _model(computation: Computation) -> type[BaseModel]:
    fields: dict[str, Any] = {
        name: (str if kind is ClaimSource else kind, default)
        for name, (kind, default) in computation.options().items()
    }
    model: type[BaseModel] = pydantic.create_model(computation.name, __config__=_DOOR, **fields)
    return model


def _options(computation: Computation, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a computation, checked against its signature."""
    bound = _model(computation).model_validate(dict(given))
    return {name: getattr(bound, name) for name in given}


def _stamped(value: Any) -> Any:
    """TOML with its dates and times as UTC stamps."""
    if isinstance(value, dict):
        return {key: _stamped(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_stamped(part) for part in value]
    if isinstance(value, dt.date):
        stamp = pd.Timestamp(value).as_unit("ns")
        return stamp.tz_localize("UTC") if stamp.tz is None else stamp.tz_convert("UTC")
    return value


def _place(where: tuple[int | str, ...], table: Mapping[str, Any]) -> str:
    """Where in the file: the claim by its id, then the key."""
    if where[:1] == ("claim",) and len(where) > 1 and isinstance(where[1], int):
        name = table["claim"][where[1]].get("id", f"number {where[1] + 1}")
        return ".".join([f"claim {name}", *map(str, where[2:])])
    return ".".join(map(str, where)) or "the file"


def claims(
    file: Path | str,
    *,
    data: Mapping[str, str] | None = None,
    workspace: Workspace | Path | str | None = None,
) -> Audit:
    """Audit a file of claims on stored data.

    Parameters
    ----------
    file : path
        A file of claims (TOML), from the current folder or from the workspace.
    data : mapping of str to str, optional
        Series of the file and the references to take in place of the file's own.
    workspace : path, optional
        By default the one at or above the current folder.

    Raises
    ------
    ConfigError
        If the file is not as it must be, or `data` names a series the file does not have.
    NotStoredError
        If a data set named in `data` is not stored; one that only the file names is missing, and
        its claims are not testable.

    Examples
    --------
    >>> import delever as dl
    >>> dl.claims("backtests/claims_2026_02.toml").headline
    'Of ... claims ...'
    """
    if not isinstance(file, str | Path):
        raise InputError(f"a file of claims must be its path; got {shown(file)}")
    place = Workspace.find(workspace, or_shipped=True)
    path = place.file(Path(file))
    computations = place.extensions.computations
    known = vocabulary(computations)
    asked = load_claims(path, known)
    chosen = dict(data or {})
    unknown = [name for name in chosen if name not in asked.series]
    if unknown:
        raise ConfigError(
            f"{path} has the series {', '.join(asked.series)}; got {', '.join(unknown)}"
        )
    sources, found, missing = {}, {}, {}
    notes: list[str] = []
    stored = place.catalog.list()
    for name, series in asked.series.items():
        wanted = chosen.get(name, series.data)
        try:
            dataset = place.catalog.load(wanted)
        except NotStoredError:
            if name in chosen:
                raise
            other = instead_of(wanted, stored)
            if other is None:
                missing[name] = f"{series.what}; import it as {series.data} or name it with --data"
                continue
            dataset = place.catalog.load(other)
        timeframe = dataset.reference.timeframe
        frame, main = fitted(dataset.frame, known_as(dataset.reference))
        sources[name] = ClaimSource(name=name, frame=frame, timeframe=timeframe, main=main)
        beside = "" if str(dataset.reference) == wanted else f", in place of {wanted}"
        found[name] = f"{dataset.reference}, id {dataset.id}{beside}"
        notes += dataset_notes(dataset)
    audited = audit(asked.claims(known), sources, computations=computations)
    return Audit(
        title=asked.title,
        audited=audited,
        data=found,
        missing=missing,
        file=Path(file).stem,
        notes=tuple(dict.fromkeys(notes)),
    )
