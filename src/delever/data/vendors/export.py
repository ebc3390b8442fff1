"""Data sets as files that other programs read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from delever.arguments import one_of
from delever.data.disk import whole
from delever.data.references import Dataset
from delever.data.text_table import FORMULA
from delever.data.vendors.freqtrade import write_freqtrade
from delever.errors import InputError

_NUMBER = re.compile(r"[+-]?[\d.,]+ ?%?")

Format = Literal["parquet", "csv", "feather", "freqtrade", "vectorbt"]
"""Shapes a data set is written in."""

FORMATS = get_args(Format)

_ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".parquet": "parquet",
    ".feather": "feather",
}
_VECTORBT = {"open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume"}


def export(dataset: Dataset, path: Path, form: Format | None = None) -> Path:
    """Write a data set to a file.

    Raises InputError if there is no such format, it has no place for such a data set, or the file
    ends as one of another; StoreError if the file cannot be written.
    """
    ending = next((end for end in _ENDINGS if path.name.lower().endswith(end)), "")
    if form is None:
        if not ending:
            raise InputError(
                f"a file must end in {', '.join(_ENDINGS)}, or its format be said; got {path}"
            )
        form = _ENDINGS[ending]
    fits = _ENDINGS.get(ending, form)
    if form in _ENDINGS.values() and fits != form:
        raise InputError(f"a file that ends in {ending} holds {fits}; format says {form}: {path}")
    if form == "vectorbt" and fits == "feather":
        raise InputError(f"vectorbt's shape is written as CSV or Parquet; got {path}")
    frame = dataset.frame
    writers: dict[str, Callable[[Path], None]] = {
        "parquet": lambda place: frame.to_parquet(place, compression="zstd"),
        "csv": lambda place: _csv(frame, place),
        "feather": lambda place: frame.reset_index().to_feather(place),
        "vectorbt": lambda place: _vectorbt(dataset, place),
    }
    if form == "freqtrade":
        return write_freqtrade(dataset, path)
    one_of("format", form, FORMATS)
    with whole(path) as place:
        writers[form](place)
    return path


def harmless(table: pd.DataFrame) -> pd.DataFrame:
    """A table in which no name and no text is taken for a formula by a spreadsheet.

    Such texts begin with an apostrophe, which spreadsheets do not show and `read_file` takes off.
    """
    made = table.rename(columns=lambda name: _escaped(name) if isinstance(name, str) else name)
    for place, dtype in enumerate(made.dtypes):
        if pd.api.types.is_object_dtype(dtype) or pd.api.types.is_string_dtype(dtype):
            cells = made.iloc[:, place].map(_escaped, na_action="ignore")
            made.isetitem(place, cells.array)
    return made


def _escaped(cell: object) -> object:
    formula = isinstance(cell, str) and cell.startswith(FORMULA) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if formula else cell


def _csv(frame: pd.DataFrame, path: Path) -> None:
    stamps = pd.DatetimeIndex(frame.index)
    if (stamps == stamps.floor("s")).all():
        texts = stamps.strftime("%Y-%m-%dT%H:%M:%SZ").tolist()
    else:
        texts = [stamp.isoformat() for stamp in stamps]
    harmless(frame.set_axis(pd.Index(texts, name=frame.index.name), axis=0)).to_csv(path)


def _vectorbt(dataset: Dataset, path: Path) -> None:
    if "close" not in dataset.frame:
        raise InputError(f"vectorbt's shape is that of bars; got {dataset.reference}")
    bars = dataset.frame.rename(columns=_VECTORBT).rename_axis("Open time")
    if path.name.lower().endswith((".csv", ".csv.gz")):
        bars.to_csv(path)
    else:
        bars.to_parquet(path, compression="zstd")
