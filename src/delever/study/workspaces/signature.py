"""What the signature of a strategy says: what it is asked about, its parameters and bounds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, get_type_hints

import pydantic

from delever.errors import StrategyError
from delever.view import Price

Takes: TypeAlias = Literal["market", "markets", "signals"]
"""One market; several; or several and a signal of each."""

_CONFIG = pydantic.ConfigDict(
    extra="forbid", strict=True, frozen=True, allow_inf_nan=False, validate_default=True
)
_FIRST = inspect.Parameter.POSITIONAL_OR_KEYWORD


def takes(names: list[str]) -> Takes:
    """What a function takes, by the names of its first parameters."""
    if names[:2] == ["markets", "signals"]:
        return "signals"
    return "markets" if names[:1] == ["markets"] else "market"


def hints_of(function: Callable[..., Any], path: Path) -> dict[str, Any]:
    """Types of a function's parameters. Raises StrategyError if one is none."""
    try:
        return get_type_hints(function, include_extras=True)
    except Exception as error:
        line = function.__code__.co_firstlineno
        raise StrategyError(f"{path}:{line}: annotations must be types; {error}") from error


def parameter_model(
    function: Callable[..., Any], hints: Mapping[str, Any], path: Path
) -> type[pydantic.BaseModel]:
    """Parameters with their bounds and defaults.

    Raises StrategyError if the signature is none that a study could fill in.
    """
    where = f"{path}:{function.__code__.co_firstlineno}: {function.__name__}"
    given = list(inspect.signature(function).parameters.values())
    firsts = {"market": 1, "markets": 1, "signals": 2}[takes([one.name for one in given])]
    named = given and given[0].name in ("market", "markets")
    if not named or any(one.kind is not _FIRST for one in given[:firsts]):
        raise StrategyError(
            f"{where} must take the market first: def {function.__name__}(market: MarketView, *, "
            "…), or (markets: Markets, *, …) where it decides about several symbols at once"
        )
    fields: dict[str, Any] = {}
    for parameter in given[firsts:]:
        _check_parameter(parameter, hints, where)
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    try:
        model: type[pydantic.BaseModel] = pydantic.create_model(
            function.__name__, __config__=_CONFIG, **fields
        )
    except pydantic.errors.PydanticUserError as error:
        raise StrategyError(f"{where}: a parameter's type cannot be checked; {error}") from error
    _check_defaults(model, where)
    return model


def _check_parameter(parameter: inspect.Parameter, hints: Mapping[str, Any], where: str) -> None:
    name = parameter.name
    if parameter.kind is not parameter.KEYWORD_ONLY:
        raise StrategyError(
            f"{where}: parameter {name} must be keyword-only; put it after a bare *"
        )
    if name not in hints:
        raise StrategyError(f"{where}: parameter {name} must have a type, such as {name}: int = 1")
    if name.startswith("_") or hasattr(pydantic.BaseModel, name):
        raise StrategyError(f"{where}: the parameter name {name} is reserved; choose another")


def _check_defaults(model: type[pydantic.BaseModel], where: str) -> None:
    try:
        model()
    except pydantic.ValidationError as error:
        wrong = list(explained(error, but="missing"))
        if wrong:
            raise StrategyError(f"{where}: default of {'; '.join(wrong)}") from None


def explained(error: pydantic.ValidationError, but: str = "") -> Iterator[str]:
    """What is wrong with parameters, one text each."""
    for one in error.errors(include_url=False):
        name = ".".join(map(str, one["loc"]))
        if one["type"] == "missing":
            if but != "missing":
                yield f"parameter {name} is required; got none"
        else:
            required = one["msg"].removeprefix("Input should be ")
            yield f"parameter {name} must be {required}; got {one['input']!r}"


def is_price(hint: Any) -> bool:
    """Whether a type is marked as a price."""
    marked = any(isinstance(mark, Price) for mark in getattr(hint, "__metadata__", ()))
    return marked or any(is_price(part) for part in get_args(hint))
