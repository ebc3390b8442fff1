"""The ``[account]`` table of a study: the engine's settings, with names for what is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from delever.data.catalog import Catalog
from delever.data.references import Dataset
from delever.deleveraging.detect import detect
from delever.engine.settings import Account, FundingSeries
from delever.errors import ConfigError, InputError
from delever.study.settings.kept_brackets import seen_brackets
from delever.venues.rulebook import load_rulebook
from delever.venues.rules import Rulebook
from delever.venues.slippage import (
    FixedSlippage,
    Impact,
    Slippage,
    StressSlippage,
    VolatilitySlippage,
)

_KINDS = {"funding": ("funding",), "mark": ("mark", "index", "ohlcv"), "detail": ("ohlcv",)}
_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SlippageConfig(BaseModel):
    """The ``[account.slippage]`` table: parts that add up, as fractions of a fill's notional."""

    model_config = _STRICT

    fixed: Annotated[float, Ge(0)] = 0.0  # such as half a spread
    # share of a bar's volatility, of bars closed before
    volatility_share: Annotated[float, Ge(0)] = 0.0
    # coefficient of square-root impact on the share of volume
    impact: Annotated[float, Ge(0)] = 0.0
    # factor on the whole while the causal detector sees deleveraging
    stress_multiplier: Annotated[float, Ge(1)] = 1.0

    def model(self) -> Slippage:
        """What the engine takes it as."""
        models: list[Slippage] = [FixedSlippage(share=self.fixed)]
        if self.volatility_share > 0.0:
            models.append(VolatilitySlippage(share=self.volatility_share))
        if self.impact > 0.0:
            models.append(Impact(coefficient=self.impact))
        return StressSlippage(
            models=tuple(models), in_stress=self.stress_multiplier, detector=detect
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyAccount(Account):
    """The ``[account]`` table: an account and, beside it, what belongs to its costs."""

    slippage: SlippageConfig | None = None  # in place of the fixed slippage of ``[costs]``
    borrow_rate: Annotated[float, Ge(0)] = 0.0  # fraction per year on the coins of a spot short


class AccountTable:
    """The way from a table of a file into an `Account`, for pydantic."""

    model: type[BaseModel]  # the settings that a file can say

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        table = core_schema.no_info_after_validator_function(_made, handler(cls.model))
        return core_schema.no_info_before_validator_function(
            lambda given: _said(given) if isinstance(given, StudyAccount) else given,
            table,
            serialization=core_schema.plain_serializer_function_ser_schema(_said),
        )


def _in_a_file(hint: Any) -> Any:
    """The part of a setting's type that a file can say; None where it can say nothing."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    plain = tuple(
        option
        for option in options
        if option in (str, bool, float, SlippageConfig, NoneType)
        or get_origin(option) in (Annotated, Literal)
    )
    return None if plain in ((), (NoneType,)) else Union[plain]  # noqa: UP007


AccountTable.model = create_model(
    "AccountTable",
    __config__=_STRICT,
    **{  # type: ignore[call-overload]
        each.name: (said, each.default)
        for each in fields(StudyAccount)
        if (said := _in_a_file(get_type_hints(StudyAccount, include_extras=True)[each.name]))
    },
)


def _made(table: BaseModel) -> StudyAccount:
    try:
        return StudyAccount(**{name: getattr(table, name) for name in type(table).model_fields})
    except InputError as error:
        raise PydanticCustomError("sentence", "{said}", {"said": str(error)}) from None


def _said(account: StudyAccount) -> dict[str, Any]:
    """What a file would say of an account that is not loaded yet."""
    said = {name: getattr(account, name) for name in AccountTable.model.model_fields}
    return said | {"slippage": account.slippage and account.slippage.model_dump()}


def load_account(
    account: Account, *, catalog: Catalog, venues: Path
) -> tuple[Account, Mapping[str, Dataset]]:
    """Load what an account names: the account, and the data sets behind it by setting.

    Raises ConfigError if there is no such rulebook, or a data set is of another kind;
    NotStoredError if one is not stored.
    """
    data = {
        name: catalog.load(reference)
        for name in _KINDS
        if isinstance(reference := getattr(account, name), str)
    }
    for name, one in data.items():
        if one.reference.kind not in _KINDS[name]:
            raise ConfigError(
                f"account: {name} must be a data set of kind {' or '.join(_KINDS[name])}; got "
                f"{one.reference}"
            )
    found: dict[str, Any] = {name: one.frame for name, one in data.items()}
    if "funding" in found:
        found["funding"] = FundingSeries.of(found["funding"]["funding_rate"])
    if isinstance(account.rules, str):
        found["rules"] = _rulebook(account.rules, venues)
    return replace(account, **found), data


def _rulebook(name: str, venues: Path) -> Rulebook:
    """The rulebook of this name, with the brackets its venue was seen to have."""
    path = venues / f"{name}.toml"
    if path.parent == venues and path.is_file():
        return load_rulebook(path, seen=seen_brackets(venues, name))
    there = ", ".join(sorted(file.stem for file in venues.glob("*.toml"))) or "none"
    raise ConfigError(
        f"account: rules must name a file in {venues}; got {name!r}; there are: {there}"
    )
