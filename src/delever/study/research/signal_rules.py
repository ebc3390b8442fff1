"""What a signal study understands: rules of levels by name, event features, and conditions."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pydantic

from delever.arguments import Floats, counted, one_of, shown
from delever.errors import ConfigError, InputError
from delever.research.signal.level_break import LevelRule, Signal
from delever.research.signal.level_rules import RULES
from delever.research.signal.pool import PooledSignals
from delever.signals.features import FEATURES, Features, feature_named, measure
from delever.view import MarketView

_STRICT = pydantic.ConfigDict(strict=True, allow_inf_nan=False)
_CONDITION = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*(\S+)\s*")
_USUAL: Mapping[str, tuple[Any, ...]] = {"average": ("sma", "ema", "wma"), "confirm": (1, 2, 3)}
_SCALED = ("weeks", "bars", "parts")
RULE = "rule"
"""The axis of a map that varies the rule itself."""


def signal_names(rules: Iterable[str] = RULES, features: Features = FEATURES) -> tuple[str, ...]:
    """Every name a study understands: rules of levels, then features that are events."""
    return (*rules, *(name for name, feature in features.items() if feature.unit == "event"))


def bind_rule(
    name: str, params: Mapping[str, Any], rules: Mapping[str, Callable[..., LevelRule]] = RULES
) -> LevelRule:
    """Make a rule from its name and parameters.

    Raises ConfigError if there is no such rule or parameter, one is missing, or a value is of the
    wrong type or out of bounds.
    """
    one_of("a rule", name, rules, ConfigError)
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in params.items()}
    try:
        rule: LevelRule = pydantic.validate_call(config=_STRICT)(rules[name])(**given)
    except pydantic.ValidationError as error:
        said = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}; got {one['input']!r}"
            for one in error.errors(include_url=False)
        )
        raise ConfigError(f"rule {name}: {said}") from None
    return rule


def load_signals(
    signal: str | LevelRule | pd.Series,
    markets: Sequence[MarketView],
    params: Mapping[str, Any],
    rules: Mapping[str, Callable[..., LevelRule]] = RULES,
    features: Features = FEATURES,
) -> tuple[str, list[Signal]]:
    """Find a signal's events on markets.

    Raises ConfigError if the name is unknown, a parameter does not fit, or there is no market;
    InputError if events of one's own are not booleans on the bars of one market.
    """
    if not markets:
        raise ConfigError("a signal study needs at least one data set; name one with --data")
    if isinstance(signal, pd.Series):
        if len(markets) > 1 or signal.dtype != bool or not signal.index.equals(markets[0].index):
            raise InputError(
                "events of one's own must be a Series of booleans on the bars of one market; got "
                f"{shown(signal)} of {signal.dtype} for {counted(len(markets), 'market')}"
            )
        known = pd.Series(True, index=signal.index)
        return str(signal.name or "events"), [Signal(market=markets[0], event=signal, known=known)]
    if isinstance(signal, LevelRule) or signal in rules:
        rule = signal if isinstance(signal, LevelRule) else bind_rule(signal, params, rules)
        return rule.name, [rule.on(market) for market in markets]
    names = signal_names(rules, features)
    one_of("a signal", signal, names, ConfigError)
    feature = feature_named(signal, features)

    def on(market: MarketView) -> Signal:
        return Signal(
            market=market,
            event=measure(signal, market, features=features, **params).astype(bool),
            known=feature.known(market, **params),
            again=on,
        )

    return feature.title(**params), [on(market) for market in markets]


def conditions_on(
    pool: PooledSignals, conditions: Sequence[str], features: Features = FEATURES
) -> dict[str, Floats]:
    """Whether conditions such as ``fear_greed<15`` hold, shape (bars, symbols), NaN where unknown.

    Raises ConfigError if one is no feature, comparison and number; InputError if a reading that it
    needs is missing.
    """
    found = {}
    for text in conditions:
        match = _CONDITION.fullmatch(text)
        name, sign, bound = match.groups() if match else ("", "", "")
        try:
            limit = float(bound)
        except ValueError:
            raise ConfigError(
                "a condition must be a feature, one of < <= > >=, and a number, such as "
                f"fear_greed<15; got {text!r}"
            ) from None
        columns = []
        for column, signal in enumerate(pool.signals):
            values = measure(name, signal.market, features=features).to_numpy(dtype="float64")
            holds = {
                "<": values < limit,
                "<=": values <= limit,
                ">": values > limit,
                ">=": values >= limit,
            }[sign]
            columns.append(pool.spread(column, np.where(np.isnan(values), np.nan, holds)))
        found[f"{name} {sign} {limit:g}"] = np.column_stack(columns)
    return found


def parameters_for(
    signals: Sequence[str | LevelRule],
    params: Mapping[str, Any],
    rules: Mapping[str, Callable[..., LevelRule]] = RULES,
    features: Features = FEATURES,
) -> list[dict[str, Any]]:
    """Each signal's own parameters: plain ones where it has them, and those with its name.

    Raises ConfigError if one belongs to none of them.
    """
    found: list[dict[str, Any]] = []
    used: set[str] = set()
    for signal in signals:
        taken: Iterable[str] = ()
        if isinstance(signal, str) and signal in rules:
            taken = inspect.signature(rules[signal]).parameters
        elif isinstance(signal, str) and signal in features:
            taken = features[signal].defaults
        own = {}
        for key, value in params.items():
            name, dot, rest = key.partition(".")
            if (dot and name == signal) or (not dot and key in taken):
                own[rest or key] = value
                used.add(key)
        found.append(own)
    if left := [key for key in params if key not in used]:
        raise ConfigError(f"a parameter must belong to one of the signals; got {left[0]!r}")
    return found


def variants_of(
    name: str,
    params: Mapping[str, Any],
    vary: Mapping[str, Sequence[Any]],
    rules: Mapping[str, Callable[..., LevelRule]] = RULES,
) -> dict[str, LevelRule]:
    """A rule with its parameters varied, by what each variant is called.

    Without axes, those the rule has of: half, same and twice its weeks, bars or parts; the kinds of
    average; 1 to 3 closes of confirmation. The axis ``rule`` names further rules; each takes the
    parameters that it knows. Raises ConfigError if there is no such rule or parameter.
    """
    names = list(dict.fromkeys((name, *vary.get(RULE, ()))))
    for one in names:
        one_of("a rule", one, rules, ConfigError)
    axes = {key: list(values) for key, values in vary.items() if key != RULE}
    taken = {one: inspect.signature(rules[one]).parameters for one in names}
    if strange := [key for key in axes if not any(key in each for each in taken.values())]:
        raise ConfigError(
            f"what is varied must be a parameter of {' or '.join(names)}: "
            f"{', '.join(sorted({key for each in taken.values() for key in each}))}, or rule; got "
            f"{strange[0]!r}"
        )
    found = {}
    for one in names:
        own: dict[str, Sequence[Any]] = {
            key: values for key, values in axes.items() if key in taken[one]
        }
        if not axes:
            own = _usual(taken[one], params)
        given = {key: value for key, value in params.items() if key in taken[one]}
        for values in product(*own.values()):
            rule = bind_rule(one, given | dict(zip(own, values, strict=True)), rules)
            chosen = ", ".join(f"{key} {value}" for key, value in zip(own, values, strict=True))
            found[f"{one}: {chosen}" if chosen else one] = rule
    return found


def _usual(
    taken: Mapping[str, inspect.Parameter], params: Mapping[str, Any]
) -> dict[str, Sequence[Any]]:
    axes: dict[str, Sequence[Any]] = {}
    for key in (*_SCALED, *_USUAL):
        if key not in taken:
            continue
        if key in _USUAL:
            axes[key] = _USUAL[key]
        else:
            middle = int(params.get(key, taken[key].default))
            axes[key] = sorted({max(1, middle // 2), middle, 2 * middle})
    return axes
