"""What the TOML file of a study of several symbols may say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from delever.errors import ConfigError
from delever.study.settings.account_table import AccountTable, StudyAccount
from delever.study.settings.config import UNIVERSES, CostsConfig, Study, explain, study_table

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

MarginMode = Literal["separate", "isolated", "cross", "multi_asset"]


class LegTable(BaseModel):
    """One thing that can be held: ``[legs.NAME]``."""

    model_config = _STRICT

    data: str  # reference of its bars
    warmup: str | None = None  # reference of earlier bars
    series: dict[str, str] = {}  # names a strategy may ask for, and the data set behind each
    account: Annotated[StudyAccount, AccountTable] | None = None  # that of the study unless given
    costs: CostsConfig | None = None  # those of the study unless given
    # share of its value that counts as collateral where spot does; left out: what the rules say of
    # the asset that the leg is named after
    counted: Annotated[float, Ge(0), Le(1)] | None = None


class PortfolioTable(BaseModel):
    """The ``[portfolio]`` table: how signals become exposures that stand beside each other."""

    model_config = _STRICT

    # a rule of `delever.signals.allocation`, a name in ``strategies/`` or a path; left out: equal
    # shares for a strategy of one market, and for one of several what it asks for
    rule: str | None = None
    params: dict[str, Any] = {}
    # exposure may drift so far from its target before it is traded; left out: until it changes
    rebalance_band: Annotated[float, Ge(0)] | None = None


class PortfolioStudy(Study):
    """One study file of several symbols."""

    # a universe, ``data/NAME.toml`` or a table ``data/NAME.csv``; or nothing, and legs
    data: str = ""
    # what may be held, by name; a text is the reference of its bars
    legs: dict[str, LegTable] = Field(default={})
    portfolio: PortfolioTable = PortfolioTable()
    margin: MarginMode = "cross"  # how positions share collateral

    @model_validator(mode="before")
    @classmethod
    def _references(cls, table: Any) -> Any:
        legs = table.get("legs") if isinstance(table, Mapping) else None
        if not isinstance(legs, Mapping):
            return table
        named = {name: {"data": leg} if isinstance(leg, str) else leg for name, leg in legs.items()}
        return {**table, "legs": named}

    @model_validator(mode="after")
    def _one_source(self) -> PortfolioStudy:
        if bool(self.data) == bool(self.legs):
            raise ValueError("data (a universe) or [legs] must be given, and not both")
        if self.legs and len(self.legs) < 2:
            raise ValueError(
                f"[legs] must name two symbols at least; got {', '.join(self.legs)}; a study of "
                "one names it as data"
            )
        if self.warmup is not None:
            raise ValueError(
                "warmup belongs to a study of one symbol; of several, each leg has its own"
            )
        if self.series and self.legs:
            raise ValueError("series of legs stand in [legs.NAME.series]")
        wrong = [name for name in self.legs if not re.fullmatch(r"[A-Za-z0-9][\w.:/-]*", name)]
        if wrong:
            raise ValueError(
                f"[legs] must have names of letters, digits and _ . : / -; got {wrong[0]!r}"
            )
        named = [(leg.data, name) for name, leg in self.legs.items()]
        for place, (reference, name) in enumerate(named):
            for other, twin in named[:place]:
                if other == reference:
                    raise ValueError(
                        f"[legs] must name every symbol once; {twin} and {name} are both "
                        f"{reference}; name one of them"
                    )
        return self

    @model_validator(mode="after")
    def _counted_is_asked_for(self) -> PortfolioStudy:
        for name, leg in self.legs.items():
            if leg.counted is not None and self.margin != "multi_asset":
                raise ValueError(
                    f'legs.{name}.counted needs margin = "multi_asset"; margin is "{self.margin}"; '
                    "leave counted out, or change margin"
                )
        return self

    def leg_study(self, account: StudyAccount | None, costs: CostsConfig | None) -> Study:
        """What a study of one leg alone would say of its account and costs."""
        return self.model_copy(update={"account": account, "costs": costs or self.costs})

    @model_validator(mode="after")
    def _costs_of_legs_are_meant(self) -> PortfolioStudy:
        for leg in self.legs.values():
            self.leg_study(leg.account, leg.costs).check_costs()
        return self


def set_portfolio(table: dict[str, Any], name: str, value: Any) -> None:
    """Put a value of ``[sweep.portfolio]`` where a study says it."""
    if name == "margin":
        table["margin"] = value
        return
    held = dict(table["portfolio"])
    if name in ("rule", "rebalance_band"):
        held[name] = value
    else:
        held["params"] = {**held["params"], name: value}
    table["portfolio"] = held


def is_portfolio(table: Mapping[str, Any]) -> bool:
    """Whether a study file is of several symbols."""
    data = table.get("data")
    return "legs" in table or (isinstance(data, str) and data.endswith(UNIVERSES))


def study_model(table: Mapping[str, Any]) -> type[Study]:
    """What a table of a study is read as."""
    return PortfolioStudy if is_portfolio(table) else Study


def load_any_study(path: Path, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read a study file, of one symbol or of several, and apply overrides.

    Raises ConfigError naming file, key, what was required and what came.
    """
    return _read(path, study_table(path, overrides))


def load_study(path: Path, overrides: Mapping[str, Any] | None = None) -> Study:
    """As `load_any_study`, of one symbol alone."""
    table = study_table(path, overrides)
    if is_portfolio(table):
        raise ConfigError(
            f"{path} is a study of several symbols, which run, sweep, walk and unseal take; "
            "name a study of one symbol here"
        )
    return _read(path, table)


def _read(path: Path, table: Mapping[str, Any]) -> Study:
    model = study_model(table)
    try:
        return model.model_validate(table)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, model)}") from None
