"""What several rooms ask of their arguments, refused in one sentence where it is not so."""

from __future__ import annotations

import numpy as np
import pandas as pd

from delever.errors import InputError

__all__ = ["MOST_SEED", "require_frame", "require_series", "whole_number"]

MOST_SEED = 2**32 - 1
"""Largest seed: any generator takes it."""


def whole_number(name: str, value: object, least: int, most: int | None = None) -> None:
    """Refuse what is not a whole number in its range.

    Parameters
    ----------
    name : str
        What it is called.
    value : object
        What came.
    least, most : int
        Its range, both inclusive; None has no end.

    Raises
    ------
    InputError
        If it is anything else; True and False are not numbers.

    Examples
    --------
    >>> whole_number("days", 30, 1, 3_650)
    """
    fits = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not fits or value < least or (most is not None and value > most):  # type: ignore[operator]
        span = f"at least {least:,}" if most is None else f"from {least:,} to {most:,}"
        raise InputError(f"{name} must be a whole number, {span}; got {_shown(value)}")


def require_series(name: str, value: object) -> None:
    """Refuse what is not a series of numbers.

    Parameters
    ----------
    name : str
        What it is called.
    value : object
        What came.

    Raises
    ------
    InputError
        If it is no `pandas.Series`, or holds something else than numbers or truth values.
    """
    if not isinstance(value, pd.Series):
        raise InputError(f"{name} must be a pandas.Series; got {_shown(value)}; pass one column")
    if not pd.api.types.is_numeric_dtype(value.dtype):
        raise InputError(
            f"{name} must hold numbers; got a series of {value.dtype}; convert it to floats"
        )


def require_frame(name: str, value: object, columns: tuple[str, ...] = ()) -> None:
    """Refuse what is not a frame, or lacks columns of numbers.

    Parameters
    ----------
    name : str
        What it is called.
    value : object
        What came.
    columns : tuple of str
        Those it must have.

    Raises
    ------
    InputError
        Naming what is missing.
    """
    if not isinstance(value, pd.DataFrame):
        raise InputError(f"{name} must be a pandas.DataFrame; got {_shown(value)}")
    missing = [column for column in columns if column not in value.columns]
    if missing:
        raise InputError(
            f"{name} must have the columns {', '.join(columns)}; missing {', '.join(missing)}; "
            f"found {', '.join(map(str, value.columns)) or 'none'}"
        )
    for column in columns:
        require_series(f"{name}: {column}", value[column])


def _shown(value: object) -> str:
    if isinstance(value, pd.Series | pd.DataFrame):
        return f"a {type(value).__name__} of shape {value.shape}"
    text = " ".join(repr(value).split())
    if isinstance(value, int | float) and not isinstance(value, bool) and len(text) <= 60:
        return text
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
