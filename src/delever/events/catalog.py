"""Deleveraging periods drawn with hindsight, for reporting."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

__all__ = ["Figure", "Period"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A reported number: what it measures, who reported it, and how they define it."""

    name: str
    value: float
    unit: str
    definition: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A deleveraging period, from `start` until before `end`, UTC."""

    id: str
    title: str
    start: pd.Timestamp
    trough: pd.Timestamp
    end: pd.Timestamp
    cause: str = ""
    figures: tuple[Figure, ...] = ()
