"""What lies among the results: a folder each, with a page and its facts beside it.

An id stands for everything that went in: what is made again has the same name.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from filelock import FileLock

from delever.data.disk import write_page
from delever.errors import StoreError
from delever.report.pages.index_page import render
from delever.study.kept.provenance import canonical_json

if TYPE_CHECKING:
    from delever.study.kept.result import Result

FACTS, INDEX = "facts.json", "index.html"
KINDS = ("run", "sweep", "walk", "signal", "comparison", "claims", "state")
"""Everything that is stored has one of these kinds."""
SHELVES = {
    "walk": "walks",
    "signal": "signals",
    "comparison": "comparisons",
    "claims": "claims",
    "state": "states",
}
"""Folders of what belongs to no study, by kind."""
LISTED = ("total_return", "sharpe_ratio", "max_drawdown")
"""Metrics that the facts of a run hold."""
COLUMNS = ("kind", "study", "made", "start", "end", "params", "headline", "page", "damage")
"""Columns of a listing, those metrics aside."""

_ID_LENGTH = 12
_ID = rf"[0-9a-f]{{{_ID_LENGTH}}}"
_LONGEST = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What is said of a result where it is stored, beside its sentence."""

    kind: str
    name: str  # readable; the study of a run
    page: str  # name of its HTML file
    start: str = ""  # first and last day of its span
    end: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)  # what a listing shows
    inputs: Mapping[str, Any] = field(default_factory=dict)  # everything that was asked
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Something stored among the results, as its facts tell it."""

    folder: Path
    name: str  # its folder below the results, such as ``ma200w_break/8e3c1c81e2a9``
    group: str  # the study of a run or sweep, else its name without the id
    id: str
    made: pd.Timestamp  # UTC
    about: About
    headline: str = ""
    damage: str = ""  # what is wrong with it; empty when nothing is

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return self.about.kind

    @property
    def page(self) -> Path:
        """Its HTML file."""
        return self.folder / self.about.page


def write_facts(
    folder: Path, about: About, headline: str, *, made: pd.Timestamp | None = None
) -> None:
    """Write the facts of a result beside the files that its folder holds by now."""
    there = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    document = {
        "kind": about.kind,
        "name": about.name,
        "page": about.page,
        "headline": headline,
        "span": {"start": about.start, "end": about.end},
        "params": about.params,
        "inputs": about.inputs,
        "metrics": about.metrics,
        "files": {name: path.stat().st_size for name, path in there.items() if _lasts(name, path)},
        **({} if made is None else {"made": f"{made:%Y-%m-%dT%H:%M:%S.%fZ}"}),
    }
    write_page(folder / FACTS, canonical_json(document))


def store(result: Result, about: About, results: Path) -> Path:
    """Store a page, its facts and its tables in a folder of their own; returns the page.

    Raises StoreError if the disk refuses; what was there before is left as it was.
    """
    from delever.study.kept.exporting import keep

    text = result.html()
    asked = canonical_json([about.kind, about.name, about.inputs, result.to_dict()])
    digest = hashlib.sha256(f"{asked}\0{text}".encode()).hexdigest()[:_ID_LENGTH]
    folder = results / SHELVES[about.kind] / f"{_readable(about.name) or about.kind}-{digest}"
    with placed(folder, results) as draft:
        (draft / about.page).write_text(text, encoding="utf-8")
        keep(result, draft)
        write_facts(draft, about, result.headline, made=pd.Timestamp.now("UTC"))
    write_index(results)
    return folder / about.page


@contextmanager
def placed(folder: Path, results: Path) -> Iterator[Path]:
    """Give a folder to write in, and put it in place in one step when it is written.

    Raises StoreError if the disk refuses; what was there before is left as it was.
    """
    draft: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        yield draft
        draft.chmod(0o755)
        with FileLock(results / ".lock"):
            replace_folder(draft, folder)
    except OSError as error:
        raise StoreError(
            f"cannot write {folder}: {error.strerror or error}; make room, or choose another "
            "workspace"
        ) from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def replace_folder(draft: Path, folder: Path) -> None:
    """Swap a finished folder in; the old one stays readable until the new one is there."""
    if not folder.exists():
        draft.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    folder.rename(old / "old")
    draft.rename(folder)
    shutil.rmtree(old)


def write_index(results: Path) -> Path:
    """Write the page of everything stored, whole or not at all; the last of many writers sees all.

    Raises StoreError if the disk refuses.
    """
    page = results / INDEX
    results.mkdir(parents=True, exist_ok=True)
    with FileLock(results / ".lock"):
        write_page(page, render(listing(everything(results)), results))
    return page


def everything(results: Path, kinds: Sequence[str] = KINDS, group: str = "") -> list[Stored]:
    """Everything stored, the newest first, damaged things among it."""
    found = (_read(*one, results) for one in _folders(results))
    return sorted(
        (one for one in found if one and one.kind in kinds and group in ("", one.group)),
        key=lambda one: (one.made, one.name),
        reverse=True,
    )


def listing(stored: Sequence[Stored]) -> pd.DataFrame:
    """A row for each, by name; the columns are those of `delever.study.runs.shelf.Runs.frame`."""
    rows = [
        {
            "name": one.name,
            "kind": one.kind,
            "study": one.group,
            "made": one.made,
            "start": one.about.start,
            "end": one.about.end,
            "params": dict(one.about.params),
            "headline": one.headline,
            "page": str(one.page),
            "damage": one.damage,
            **{name: one.about.metrics.get(name) for name in LISTED},
        }
        for one in stored
    ]
    frame = pd.DataFrame(rows, columns=["name", *COLUMNS, *LISTED]).set_index("name")
    return frame.astype(dict.fromkeys(LISTED, "float64"))


def read_stored(folder: Path) -> Stored:
    """A run at any place, such as one that was copied."""
    found = _read(folder, "run", folder.parent.name, folder.name, folder.parent.parent)
    assert found is not None  # whoever asks has seen its manifest
    return found


def _folders(results: Path) -> Iterator[tuple[Path, str, str, str]]:
    """Folders of what is stored: where, of which kind, of what group, by what id."""
    shelves = {shelf: kind for kind, shelf in SHELVES.items()}
    for place in sorted(results.glob("*/")):
        for folder in place.glob("*/"):
            if re.fullmatch(_ID, folder.name):
                yield folder, "run", place.name, folder.name
            elif place.name in shelves and re.fullmatch(rf"[^.].*-{_ID}", folder.name):
                name, _, own = folder.name.rpartition("-")
                yield folder, shelves[place.name], name, own
        for folder in place.glob("sweeps/*/"):
            if re.fullmatch(_ID, folder.name):
                yield folder, "sweep", place.name, folder.name


def _read(folder: Path, kind: str, group: str, own: str, results: Path) -> Stored | None:
    """What the facts of a folder tell, or what is wrong with them; None where it went meanwhile."""
    known: dict[str, Any] = {
        "folder": folder,
        "name": folder.relative_to(results).as_posix(),
        "group": group,
        "id": own,
    }
    path = folder / FACTS
    try:
        seen = path.stat().st_mtime
        facts = json.loads(path.read_text(encoding="utf-8"))
        about = _told(facts)
        made = pd.Timestamp(facts["made"]) if "made" in facts else None
        headline, sizes = str(facts["headline"]), dict(facts["files"])
        if about.kind != kind or (made is not None and made.tzinfo is None):
            raise ValueError  # noqa: TRY301  as little its facts as any other text
    except OSError as error:
        if not folder.is_dir():
            return None
        about, made, sizes, headline = About(kind=kind, name=group, page=""), None, {}, ""
        seen = folder.stat().st_mtime
        damage = f"{FACTS} cannot be read: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError):
        about, made, sizes, headline = About(kind=kind, name=group, page=""), None, {}, ""
        damage = f"{FACTS} holds no facts of a {kind}"
    else:
        damage = _missing(folder, sizes)
        if kind == "run" and not (folder / "manifest.json").is_file():
            damage = "manifest.json is missing"
    if made is None:  # a run made again has the same bytes, so its files alone say when
        made = pd.Timestamp(seen, unit="s", tz="UTC")
    return Stored(**known, about=about, made=made, headline=headline, damage=damage)


def _told(facts: Mapping[str, Any]) -> About:
    return About(
        kind=facts["kind"],
        name=str(facts["name"]),
        page=str(facts["page"]),
        start=str(facts["span"]["start"]),
        end=str(facts["span"]["end"]),
        params=dict(facts["params"]),
        inputs=dict(facts["inputs"]),
        metrics=dict(facts["metrics"]),
    )


def _lasts(name: str, path: Path) -> bool:
    """Whether a file is part of a result, not of its making."""
    made = name == FACTS or name.startswith("chunks/") or path.suffix == ".tmp"
    return path.is_file() and not made


def _missing(folder: Path, sizes: Mapping[str, int]) -> str:
    """Which file is gone or shorter than it was; empty when none is."""
    for name, size in sizes.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} is not what was written"
    return ""


def _readable(text: str) -> str:
    """A text as part of a folder's name."""
    plain = re.sub(r"[^\w.]+", "-", unicodedata.normalize("NFC", text))
    return plain[:_LONGEST].strip("-._")
