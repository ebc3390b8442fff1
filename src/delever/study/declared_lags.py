"""Whether series are declared as known earlier than the workspace's own sources say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from delever.data.references import Dataset
from delever.data.web import HttpSource, web_sources
from delever.errors import InputError

__all__ = ["early_series"]

_ALIASES = {"gold": "gld", "fng": "fear_greed"}


def early_series(series: Mapping[str, Dataset], sources: Path) -> tuple[str, ...]:
    """Say which series are seen before the source of such a series has them.

    Raises
    ------
    InputError
        If it is stored under the very reference of the source: then the two declarations are of
        one series, and the shorter one would show its rows before they were there.
    """
    found = web_sources(sources)
    out = []
    for name, data in series.items():
        source = _source(name, data, found)
        if source is None or data.publication_lag >= source.publication_lag:
            continue
        said = (
            f"{data.reference} ({name}) is declared as known {_hours(data.publication_lag)} after "
            f"its stamp, and {sources.name} says {_hours(source.publication_lag)} for "
            f"{source.name}"
        )
        if str(data.reference).lower() == str(source.reference).lower():
            raise InputError(f"{said}; add the data set again with that --publication-lag")
        out.append(f"{said}: where these are the same figures they are seen too early")
    return tuple(out)


def _source(name: str, data: Dataset, found: Mapping[str, HttpSource]) -> HttpSource | None:
    for called in (data.reference.symbol.lower(), name.lower()):
        if called in found or _ALIASES.get(called) in found:
            return found[called if called in found else _ALIASES[called]]
    return None


def _hours(lag: pd.Timedelta) -> str:
    return f"{lag / pd.Timedelta(1, 'h'):g} h"
