"""What foreign files hold, before it is stored, and how their text becomes numbers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from delever.data.references import Reference
from delever.errors import SchemaError

__all__ = ["Found", "frame_of", "numbers"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """Rows of a foreign file under the name they are to have."""

    reference: Reference  # what the data set is to be called
    # shape (n, k): indexed in UTC, in the order of time; not held against the contract of its kind
    # yet
    frame: pd.DataFrame
    provenance: Mapping[str, object]  # JSON-able
    notes: tuple[str, ...] = ()  # what a reader of results must be told


def frame_of(
    text: str, where: str, *, needs: Sequence[str] = (), header: int | None = 0
) -> pd.DataFrame:
    """Read CSV text, every cell as it stands.

    Raises
    ------
    SchemaError
        If it is no CSV, holds no row, or lacks a column.
    """
    try:
        table: pd.DataFrame = pd.read_csv(
            io.StringIO(text), header=header, dtype="str", keep_default_na=False
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SchemaError(f"{where} cannot be read as CSV ({error}); fetch it again") from None
    missing = [name for name in needs if name not in table.columns]
    if missing or table.empty:
        found = ", ".join(map(str, table.columns))
        what = f"the columns {', '.join(missing)}" if missing else "rows"
        raise SchemaError(f"{where} needs {what}; found {found[:200]}; is it of another kind?")
    return table


def numbers(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Turn cells into numbers; empty cells, ``nan`` and ``null`` are undefined.

    Raises
    ------
    SchemaError
        If a cell holds anything else.
    """
    columns = {}
    for name in table.columns:
        texts = table[name].astype("str").str.strip()
        undefined = texts.str.lower().isin(("", "nan", "null"))
        try:
            columns[name] = [
                float("nan") if empty else float(cell)
                for cell, empty in zip(texts, undefined, strict=True)
            ]
        except ValueError:
            wrong = pd.to_numeric(texts.mask(undefined), errors="coerce").isna() & ~undefined
            row = int(wrong.to_numpy().argmax())
            raise SchemaError(
                f"{where}: row {row + 1} has {name} = {texts.iloc[row][:40]!r}; a number is "
                "required; correct it or fetch the file again"
            ) from None
    return pd.DataFrame(columns, index=table.index, dtype="float64")
