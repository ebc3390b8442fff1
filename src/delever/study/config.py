"""A study: what is run, on what, from when, at which costs. The door where input is checked."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pandas as pd
from annotated_types import Ge, Le, Len
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from delever.engine.arrays import LEAST_EQUITY, MOST_EQUITY
from delever.engine.settings import Account
from delever.errors import ConfigError, InputError
from delever.research.what_if import parse_counterfactual
from delever.study.account_table import AccountTable
from delever.study.axes import SweepConfig
from delever.study.costs_table import CostsConfig
from delever.study.toml import check_depth, read_toml
from delever.venues.costs import Costs, scaled_costs

__all__ = ["CostsConfig", "Study", "explain", "load_study"]


class Study(BaseModel):
    """One study file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    name: Annotated[str, Len(1, 100)]  # names the results folder; the file's stem unless given
    strategy: str  # name of a file in ``strategies/`` or a path
    data: str  # reference of the bars, ``venue/ohlcv/SYMBOL/timeframe``
    warmup: str | None = None  # reference of earlier bars, used only to warm indicators up
    series: dict[str, str] = {}  # names a strategy may ask for, and the data set behind each
    params: dict[str, Any] = {}  # parameters of the strategy
    # ``"warm"``: the first bar that a decision can be filled at
    start: Literal["warm"] | dt.datetime = "warm"
    end: dt.datetime | None = None  # bars that close after it are left out
    benchmark: str = "buy_and_hold"  # the strategy every figure is compared with
    # in quote currency, from 1e-6 to 1e15
    initial_equity: Annotated[float, Ge(LEAST_EQUITY), Le(MOST_EQUITY)] = 10_000.0
    # path of the catalogue of deleveraging periods, from the workspace
    periods: str = "data/deleveraging.toml"
    # fees and slippage; left out, those of `CostsConfig`, or of the account's rules
    costs: CostsConfig | None = None
    # how many times fees and slippage are paid, of the benchmark as well; rebates stay
    costs_times: Annotated[float, Ge(0)] = 1.0
    account: Annotated[Account, AccountTable] | None = (
        None  # A margin account, stops, borrow; None holds plain spot
    )
    # what ``delever sweep`` combines; a single run takes no notice of it
    sweep: SweepConfig | None = None
    # what is run beside it, see `research.what_if.parse_counterfactual`; None: the usual ones
    counterfactuals: list[str] | None = None

    @field_validator("name")
    @classmethod
    def _name_is_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise ValueError("letters, digits, '_' and '-'")
        return name

    @field_validator("start", "end", mode="before")
    @classmethod
    def _utc(cls, value: Any) -> Any:
        if value is None or value == "warm":
            return value
        if isinstance(value, str):
            value = dt.datetime.fromisoformat(value)
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            value = dt.datetime.combine(value, dt.time())
        if not isinstance(value, dt.datetime) or not 1678 <= value.year <= 2261:
            raise ValueError("a UTC date such as 2015-01-01")
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)

    @field_validator("counterfactuals")
    @classmethod
    def _are_changes(cls, names: list[str] | None) -> list[str] | None:
        for name in names or ():
            try:
                parse_counterfactual(name)
            except InputError as error:
                raise ValueError(str(error)) from None
        return None if names is None else list(dict.fromkeys(names))

    @model_validator(mode="after")
    def _in_order(self) -> Study:
        if self.end_time and self.start_time and self.start_time >= self.end_time:
            raise ValueError(f"start must be before end; got {self.start} and {self.end}")
        return self

    @property
    def spot_costs(self) -> Costs:
        """What a spot fill is said to pay; the benchmark's always are."""
        return (self.costs or CostsConfig()).costs()

    @property
    def said_costs(self) -> Costs | None:
        """What the strategy's fills are said to pay; None where the account's rules say it."""
        by_rules = self.account is not None and self.account.rules is not None
        return None if by_rules and self.costs is None else self.spot_costs

    @property
    def paid_costs(self) -> Costs | None:
        """The same, as many times as they are paid; for a sweep."""
        said = self.said_costs
        return None if said is None else scaled_costs(said, self.costs_times)

    @property
    def start_time(self) -> pd.Timestamp | None:
        """`start` as a UTC stamp; None for ``"warm"``."""
        return None if isinstance(self.start, str) else pd.Timestamp(self.start).as_unit("ns")

    @property
    def end_time(self) -> pd.Timestamp | None:
        """`end` as a UTC stamp."""
        return None if self.end is None else pd.Timestamp(self.end).as_unit("ns")


def load_study(path: Path, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read a study file and apply overrides.

    Raises
    ------
    ConfigError
        Naming file, key, what was required and what came.
    """
    if not path.is_file():
        raise ConfigError(f"a study file is required; there is none at {path}")
    table = read_toml(path, "a study")
    if "claims" in table and "strategy" not in table:
        raise ConfigError(f"{path} holds claims, not a study; run: delever claims {path}")
    table.setdefault("name", path.stem)
    for key, value in (overrides or {}).items():
        if not isinstance(key, str):
            raise ConfigError(f"{path}: a dotted key of the study is required; got {key!r}")
        _override(table, key, value)
    check_depth(table, str(path))
    try:
        return Study.model_validate(table)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, Study)}") from None


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Say in one sentence what was wrong with the first wrong key."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["type"] == "extra_forbidden":
        owner = model
        for part in first["loc"][:-1]:
            owner = _table(owner, str(part))
        return f"unknown key {key!r}; there are: {', '.join(owner.model_fields)}"
    if first["type"] == "missing":
        return f"{key} is required and missing"
    if first["loc"][:1] == ("sweep",) and first["type"] in ("list_type", "model_type", "dict_type"):
        return (
            f"{'.'.join(map(str, first['loc'][:3]))} must be a list of values, or a table of from, "
            f"to and step; got {json.dumps(first['input'], default=str)}"
        )
    said = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if not first["loc"] or first["type"] == "sentence":
        return said
    return f"{key} must be: {said}; got {json.dumps(first['input'], default=str)}"


def _table(model: type[BaseModel], name: str) -> type[BaseModel]:
    """The model of a nested table, whose own keys are to be listed; else the model itself."""
    annotation = model.model_fields[name].annotation if name in model.model_fields else None
    options = [annotation, *get_args(annotation)]
    for option in [*options, *(part for one in options for part in get_args(one))]:
        if option is AccountTable:
            return AccountTable.model
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return model


def _override(table: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for part in parents:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{key}: {part!r} is not a table of the study")
    table[last] = value
