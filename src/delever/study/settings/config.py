"""What a TOML file may say: a study, its costs and its sweep. The door where input is checked."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias, get_args

import pandas as pd
from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from delever.data.references import is_reserved
from delever.engine.arrays import LEAST_EQUITY, MOST_EQUITY
from delever.engine.settings import Account
from delever.errors import ConfigError, InputError
from delever.research.what_if import parse_counterfactual
from delever.study.settings.account_table import AccountTable, StudyAccount
from delever.toml_file import check_depth, read_toml
from delever.venues.costs import (
    DEAREST_BORROW,
    DEAREST_SLIPPAGE,
    Borrow,
    CostPart,
    Costs,
    VenueFees,
    check_meant,
)
from delever.venues.slippage import Impact, VolatilitySlippage

Fraction = Annotated[float, Ge(0), Lt(1)]

COST_MODELS: Mapping[str, type[CostPart]] = MappingProxyType(
    {model.__name__: model for model in (VolatilitySlippage, Impact)}
)
"""Parts of costs that ``[costs.models]`` may name, beside those of extensions."""


class CostsConfig(BaseModel):
    """The ``[costs]`` table: fractions of a fill's notional."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    maker_fee: Annotated[float, Gt(-1), Lt(1)] = 0.0
    taker_fee: Fraction = 0.001
    slippage: Fraction = 0.0005
    liquidity: Literal["taker", "maker"] = "taker"
    # further parts by the name of their class, such as ``[costs.models.VolatilitySlippage]``, and
    # what each is made with; a file in ``extensions/`` may add classes
    models: dict[str, dict[str, Any]] = {}

    def costs(self, known: Mapping[str, type[CostPart]] = COST_MODELS) -> Costs:
        """The same as the engine takes it.

        Raises ConfigError if there is no model of a name, or it is not made so.
        """
        total = Costs(**self.model_dump(exclude={"models"}))
        for name, told in self.models.items():
            if name not in known:
                there = ", ".join(sorted(known))
                raise ConfigError(f"costs.models must name one of {there}; got {name!r}")
            try:
                total = total + known[name](**told)
            except (TypeError, InputError) as error:
                raise ConfigError(f"costs.models.{name}: {error}") from None
        return total


UNIVERSES = (".toml", ".csv")
"""How names of files of coins by date end."""

DEFAULT_COSTS = CostsConfig().costs()
"""What a fill costs where nobody says it."""

_RULED_COSTS = Costs(slippage=DEFAULT_COSTS.slippage, parts=(VenueFees(),))


def unsaid_costs(account: Account | None) -> Costs:
    """What a fill costs where nobody says it: of an account with rules, their fees by date."""
    return DEFAULT_COSTS if account is None or account.rules is None else _RULED_COSTS


MOST_VALUES = 10_000_000
"""Values of one axis; as many combinations of one axis are a day's work."""


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
            raise ValueError("a range that rises, its from below its to")
        if self.step is not None and (self.last - self.first) / self.step >= MOST_VALUES:
            raise ValueError(f"at most {MOST_VALUES:,} values; take larger steps")
        return self

    def values(self) -> list[float]:
        """Every step from first to last, whole numbers where all three are."""
        if self.step is None:
            raise ConfigError(
                f"a range in a grid needs a step; got from {self.first} to {self.last}; "
                'give step, a list of values, or choose = "random"'
            )
        # Decimal fractions are not sums of their steps: 0.1 + 2 * 0.1 is not 0.3.
        return [_plain(self.first + at * self.step) for at in range(self._count(self.step))]

    def _count(self, step: float) -> int:
        return math.floor((self.last - self.first) / step * (1.0 + 1e-12)) + 1

    def at(self, share: float) -> float:
        """Value at a share of the range, 0 <= share < 1."""
        if self.step is not None:
            return _plain(self.first + int(share * self._count(self.step)) * self.step)
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
    # of several symbols: rule, rebalance_band, margin, and parameters of the rule
    portfolio: dict[str, Axis] = {}

    @model_validator(mode="after")
    def _fits(self) -> SweepConfig:
        if (self.choose == "grid") != (self.samples is None):
            raise ValueError("samples goes with choose = 'random' or 'sobol', and only with them")
        if not self.axes:
            raise ValueError(
                "at least one axis is needed, in [sweep.params], costs, account or portfolio"
            )
        return self

    @property
    def axes(self) -> dict[str, Axis]:
        """Axes by dotted key of the study, those of the strategy first."""
        tables = ("params", "costs", "account", "portfolio")
        return {
            f"{table}.{name}": axis
            for table in tables
            for name, axis in getattr(self, table).items()
        }


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
    # whether fees above 0.02, slippage above 0.05 or borrow above 1 a year are meant so
    really: bool = False
    # a margin account, stops, borrow; None holds plain spot
    account: Annotated[StudyAccount, AccountTable] | None = None
    # what ``delever sweep`` combines; a single run takes no notice of it
    sweep: SweepConfig | None = None
    # what is run beside it, see `research.what_if.parse_counterfactual`; None: the usual ones
    counterfactuals: list[str] | None = None

    @field_validator("name")
    @classmethod
    def _name_is_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise ValueError("letters, digits, '_' and '-'")
        if is_reserved(name):
            raise ValueError("no name that Windows reserves")
        return name

    @field_validator("start", "end", mode="before")
    @classmethod
    def _utc(cls, value: Any) -> Any:
        if value is None or value == "warm":
            return value
        time = utc_time(value)
        if not isinstance(time, dt.datetime) or not 1678 <= time.year <= 2261:
            raise ValueError("a UTC date such as 2015-01-01")
        return time

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

    @model_validator(mode="after")
    def _costs_are_meant(self) -> Study:
        self.check_costs()
        return self

    def check_costs(self) -> None:
        """Refuse costs that look like percentages. Raises ValueError with the sentence to say."""
        if self.really:
            return
        try:
            if self.costs is not None:
                Costs(**self.costs.model_dump(exclude={"models"})).check_meant()
            if self.account is not None:
                check_meant("account: borrow_rate", self.account.borrow_rate, DEAREST_BORROW)
                if self.account.slippage is not None:
                    fixed = self.account.slippage.fixed
                    check_meant("account.slippage: fixed", fixed, DEAREST_SLIPPAGE)
        except InputError as error:
            raise ValueError(str(error)) from None

    def spot_costs(self, known: Mapping[str, type[CostPart]] = COST_MODELS) -> Costs:
        """What a spot fill is said to pay; the benchmark's always are."""
        return (self.costs or CostsConfig()).costs(known)

    def said_costs(self, known: Mapping[str, type[CostPart]] = COST_MODELS) -> Costs:
        """What the strategy is said to pay: by ``[costs]`` or its rules, and by its account."""
        account = self.account
        if account is None:
            return self.spot_costs(known)
        costs = unsaid_costs(account) if self.costs is None else self.spot_costs(known)
        if account.slippage is not None:
            costs = replace(costs, slippage=0.0) + account.slippage.model()
        return costs + Borrow(rate=account.borrow_rate) if account.borrow_rate else costs

    @property
    def start_time(self) -> pd.Timestamp | None:
        """`start` as a UTC stamp; None for ``"warm"``."""
        return None if isinstance(self.start, str) else pd.Timestamp(self.start).as_unit("ns")

    @property
    def end_time(self) -> pd.Timestamp | None:
        """`end` as a UTC stamp."""
        return None if self.end is None else pd.Timestamp(self.end).as_unit("ns")


def study_table(path: Path, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a study file says, with overrides, not checked yet.

    Raises ConfigError if there is no such file, or it is no TOML.
    """
    if not path.is_file():
        raise ConfigError(f"a study file is required; there is none at {path}")
    table = read_toml(path, "a study")
    if "claim" in table and "strategy" not in table:
        raise ConfigError(f"{path} holds claims, not a study; run: delever claims {path}")
    table.setdefault("name", path.stem)
    for key, value in (overrides or {}).items():
        if not isinstance(key, str):
            raise ConfigError(f"{path}: a dotted key of the study is required; got {key!r}")
        _override(table, key, value)
    check_depth(table, str(path))
    return table


def utc_time(value: Any) -> Any:
    """A date of a file as a UTC time; what is none is left to be refused."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    if not isinstance(value, dt.datetime):
        return value
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Say in one sentence what was wrong with the first wrong key."""
    first = error.errors()[0]
    # Pydantic names the kind of an axis, or of a number, among the keys that lead to it.
    parts = [str(part) for part in first["loc"] if not _is_kind(str(part))]
    key = ".".join(parts) or "the file"
    if first["type"] == "extra_forbidden":
        owner = model
        for part in parts[:-1]:
            owner = _table(owner, part)
        there = (each.alias or name for name, each in owner.model_fields.items())
        said = f"unknown key {key!r}; there are: {', '.join(there)}"
        own = len(parts) == 1 and "params" in model.model_fields
        return f"{said}; a parameter of the strategy is written params.{key}" if own else said
    if first["type"] == "missing":
        return f"{key} is required and missing"
    if first["loc"][:1] == ("sweep",) and first["type"] in ("list_type", "model_type", "dict_type"):
        return (
            f"{'.'.join(map(str, first['loc'][:3]))} must be a list of values, or a table of from, "
            f"to and step; got {json.dumps(first['input'], default=str)}"
        )
    said = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if first["loc"][-1:] in (("int",), ("float",)):  # one of both; the first is told
        said = "a number"
    if not first["loc"] or first["type"] == "sentence":
        return said
    return f"{key} must be: {said}; got {json.dumps(first['input'], default=str)}"


def _is_kind(part: str) -> bool:
    return part in ("int", "float") or part.startswith("function-")


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


def _plain(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.12g}")
