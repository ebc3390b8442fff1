"""Tables, figures and the sentence of a result as files of other programs."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import pandas as pd

from delever.arguments import one_of
from delever.data.vendors.export import harmless
from delever.errors import StoreError
from delever.report.figures.images import write_pngs
from delever.report.table import frame_table
from delever.study.kept.result import Result, plain
from delever.study.kept.stored import About, Stored

Form: TypeAlias = Literal["csv", "parquet"]
"""Shapes a table is written in."""

TABLES, FIGURES, SUMMARY = "tables", "figures", "summary.md"


def keep(result: Result, folder: Path) -> None:
    """Write what a stored result can be exported from later: its tables and its figures."""
    for part in (TABLES, FIGURES):
        (folder / part).mkdir()
    for place, (name, table) in enumerate(_files(result.tables).items(), start=1):
        path = folder / TABLES / f"{place:02d}-{name}.parquet"
        flat(table).to_parquet(path, compression="zstd")
    for place, (name, figure) in enumerate(_files(result.figures).items(), start=1):
        path = folder / FIGURES / f"{place:02d}-{name}.json"
        path.write_text(figure.to_json(), encoding="utf-8")


def named(path: Path) -> str:
    """Name of a table or figure that `keep` wrote; the number in front keeps their order."""
    return path.stem.partition("-")[2]


def export_result(result: Result, folder: Path, form: Form, *, png: bool) -> list[Path]:
    """Write a result's tables, its summary and, where asked, its figures; returns the files.

    Raises InputError if there is no such form, or no browser for pictures; StoreError if the disk
    refuses.
    """
    one_of("form", form, get_args(Form))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as draft:
            _write(result, Path(draft), form, png=png)
            return [made.replace(folder / made.name) for made in sorted(Path(draft).iterdir())]
    except OSError as error:
        raise StoreError(
            f"cannot write to {folder}: {error.strerror or error}; give another folder or make room"
        ) from error


def _write(result: Result, folder: Path, form: Form, *, png: bool) -> None:
    tables, figures = _files(result.tables), _files(result.figures) if png else {}
    for name, table in tables.items():
        if form == "csv":
            harmless(flat(table)).to_csv(folder / f"{name}.csv", index=False)
        else:
            flat(table).to_parquet(folder / f"{name}.parquet", compression="zstd")
    if figures:
        # A figure may be called like a table.
        write_pngs({folder / f"figure-{name}.png": each for name, each in figures.items()})
    text = summary_text(result, (path.name for path in sorted(folder.iterdir())))
    (folder / SUMMARY).write_text(text, encoding="utf-8")


def summary_text(result: Result, files: Iterable[str] = ()) -> str:
    """The sentence, the short table and the notes of a result in Markdown, and the files beside."""
    table = frame_table("summary", flat(result.summary))
    lines = [table.header, ["---"] * len(table.header), *table.texts]
    rows = [f"| {' | '.join(map(_in_a_cell, line))} |" for line in lines]
    notes = [f"- {note}" for note in getattr(result, "notes", ())]
    beside = [f"- [{name}]({name})" for name in files]
    kept = getattr(result, "stored", None)
    about = kept.about if isinstance(kept, Stored) else result.about
    title = type(result).__name__
    if isinstance(about, About):
        title = f"{about.name}: {about.kind}"
    elif hasattr(result, "name"):  # of a sweep, `about` says what was swept
        title = f"{result.name}: {title.lower()}"
    parts = [[f"# {title}"], [result.headline], rows, notes, beside]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def flat(table: pd.DataFrame) -> pd.DataFrame:
    """A table that any program reads: its labels are columns, each named by one text."""
    named = not isinstance(table.index, pd.RangeIndex) or table.index.name is not None
    made = table.reset_index() if named else table.copy()
    made.columns = pd.Index([_one_text(name) for name in made.columns])
    for name in made:
        values = made[name]
        if values.dtype == object and not all(isinstance(v, str) or v is None for v in values):
            # Values of several kinds: each as JSON.
            made[name] = [None if v is None else json.dumps(plain(v)) for v in values]
    return made


def _files(named: Mapping[str, Any]) -> dict[str, Any]:
    """The same by names that files may have; two that would be one are numbered."""
    made: dict[str, Any] = {}
    for name, each in named.items():
        stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "unnamed"
        taken = sum(re.fullmatch(rf"{re.escape(stem)}(-\d+)?", other) is not None for other in made)
        made[f"{stem}-{taken + 1}" if taken else stem] = each
    return made


def _one_text(name: Any) -> str:
    parts = name if isinstance(name, tuple) else (name,)
    return " ".join(str(part) for part in parts if str(part))


def _in_a_cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
