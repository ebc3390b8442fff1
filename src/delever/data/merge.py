"""New rows among stored ones: what is stored must agree, or nothing changes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from delever.data.references import Reference
from delever.errors import ConflictError

__all__ = ["joined", "new_rows", "same_columns", "same_lag", "same_volume"]


def same_lag(
    reference: Reference, stored: pd.Timedelta, asked: pd.Timedelta | None
) -> pd.Timedelta:
    """Publication lag of a stored data set, which an import may repeat but not change.

    Raises
    ------
    ConflictError
        If the two differ.
    """
    if asked is not None and asked != stored:
        raise ConflictError(
            f"{reference} is stored with a publication lag of {stored}; "
            f"got {asked}; leave it out, or store under another symbol; nothing was stored"
        )
    return stored


def same_columns(reference: Reference, stored: tuple[str, ...], found: tuple[str, ...]) -> None:
    """Refuse rows of other columns than those stored; their order does not matter.

    Raises
    ------
    ConflictError
        If they are not the same names.
    """
    if set(stored) != set(found):
        raise ConflictError(
            f"{reference} is stored with the columns {', '.join(stored)}; "
            f"got {', '.join(found)}; bring the same ones, or store under another symbol; "
            "nothing was stored"
        )


def same_volume(reference: Reference, stored: bool, found: bool) -> None:
    """Refuse bars with volumes beside bars without.

    Raises
    ------
    ConflictError
        If they are known on one side only.
    """
    if stored != found:
        has, got = ("with", "without") if stored else ("without", "with")
        raise ConflictError(
            f"{reference} is stored {has} volumes; got bars {got}; volume must be known for every "
            "bar or for none; store them under another symbol; nothing was stored"
        )


def new_rows(stored: pd.DataFrame, frame: pd.DataFrame, reference: Reference) -> pd.DataFrame:
    """Rows whose stamps are not stored yet.

    Raises
    ------
    ConflictError
        If a row with a stored stamp differs in any value (two NaN agree).
    """
    frame = frame[list(stored.columns)]
    common = frame.index.isin(stored.index)
    theirs = frame.loc[common]
    ours = stored.loc[theirs.index].to_numpy()
    values = theirs.to_numpy()
    differ = ~((ours == values) | (np.isnan(ours) & np.isnan(values)))
    if differ.any():
        rows = differ.any(axis=1)
        row = int(np.flatnonzero(rows)[0])
        column = int(np.flatnonzero(differ[row])[0])
        count = int(rows.sum())
        raise ConflictError(
            f"{reference}: {count} row{'s' * (count > 1)} must agree with what is stored; first at "
            f"{theirs.index[row]:%Y-%m-%d %H:%M}, {frame.columns[column]} is stored as "
            f"{float(ours[row, column])!r}, got {float(values[row, column])!r}; correct the source "
            f"or store it under another venue (where the stored row was an unfinished bar, remove "
            f"the store's folder {reference.folder} and import again); nothing was stored"
        )
    return frame.loc[~common]


def joined(stored: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """All rows, oldest first; what is true of each of them apart is true of them together."""
    return pd.concat([stored, new]).sort_index()
