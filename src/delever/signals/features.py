"""All features by name: those of this package, and those that are passed in.

A study, the look-ahead check and the composite stress index take features from here, so that a
feature added to a module is checked like all the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import pandas as pd

from delever.arguments import one_of
from delever.errors import InputError
from delever.signals import (
    averages,
    breaks,
    cross,
    levels,
    leverage,
    mood,
    network,
    price_features,
    profile,
    swings,
)
from delever.signals.feature import Feature, Input, features_of
from delever.view import MarketView

Features: TypeAlias = Mapping[str, Feature]

MODULES = (
    price_features,
    averages,
    breaks,
    levels,
    swings,
    profile,
    leverage,
    mood,
    cross,
    network,
)


def collect(functions: Iterable[object]) -> Features:
    """Features of decorated functions, such as the tuple ``FEATURES`` of an extension.

    Parameters
    ----------
    functions : iterable of callable
        Each made into features by `delever.signals.feature.feature`.

    Returns
    -------
    mapping of str to Feature

    Raises
    ------
    InputError
        If one is no feature or a name is taken twice.
    """
    found: dict[str, Feature] = {}
    for function in functions:
        made = features_of(function)
        if not made:
            raise InputError(f"a feature must be decorated with feature(...); {function!r} is not")
        for one in made:
            if one.name in found:
                raise InputError(f"every feature needs a name of its own; {one.name!r} repeats")
            found[one.name] = one
    return MappingProxyType(found)


def inputs(features: Features) -> Mapping[str, Input]:
    """Every reading that some feature needs, by name."""
    return {need.name: need for one in features.values() for need in one.needs}


FEATURES: Features = collect(
    made
    for module in MODULES
    for made in vars(module).values()
    if features_of(made) and made.__module__ == module.__name__
)
"""Every feature of this package, by name."""

INPUTS: Mapping[str, Input] = inputs(FEATURES)
"""Every reading that one of them needs, by name."""


def feature_named(name: str, features: Features = FEATURES) -> Feature:
    """Look a feature up by name.

    Parameters
    ----------
    name : str
        Such as ``"funding_zscore"``.
    features : mapping of str to Feature
        Among these; by default those of this package.

    Raises
    ------
    InputError
        If there is no such feature; the message lists those there are.
    """
    one_of("a feature", name, features)
    return features[name]


def measure(
    name: str, market: MarketView, *, features: Features = FEATURES, **parameters: object
) -> pd.Series:
    """Measure a feature after checking that its readings are declared honestly.

    Parameters
    ----------
    name : str
        A key of `features`.
    market : MarketView
        The market; n bars, with the readings the feature needs.
    features : mapping of str to Feature
        Those there are; by default those of this package.
    **parameters : object
        Of the feature.

    Returns
    -------
    pandas.Series, shape (n,)
        On the market's index, named like the feature, as known at each bar's close (levels:
        before its open).

    Raises
    ------
    InputError
        If there is no such feature or parameter, a reading is missing, or its publication lag is
        shorter than the least that is honest.
    """
    wanted = feature_named(name, features)
    for need in wanted.inputs(**parameters):
        need.check(market)
    return wanted.compute(market, **parameters)


def available(
    market: MarketView, features: Features = FEATURES
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which features a market has the readings for.

    Parameters
    ----------
    market : MarketView
        The market.
    features : mapping of str to Feature
        Those there are; by default those of this package.

    Returns
    -------
    tuple of two tuples of str
        Names of features that can be computed, and names of the readings that are missing for
        the others.
    """
    there = market.readings.keys()
    able = tuple(
        name for name, one in features.items() if there >= {need.name for need in one.needs}
    )
    return able, tuple(name for name in inputs(features) if name not in there)
