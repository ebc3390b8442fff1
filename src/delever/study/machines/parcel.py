"""What of a workspace a study needs: the files that a cluster carries to its workers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from delever.data.disk import Disk
from delever.data.references import Dataset, Reference
from delever.data.remote import Remote
from delever.data.sample_data import SAMPLE
from delever.data.store_location import FILE as STORE
from delever.errors import ConfigError
from delever.study.settings.config import Study
from delever.study.workspaces.strategy import Strategy
from delever.study.workspaces.workspace import Workspace

Content = Path | bytes
"""A file, or what it is to hold."""


def parcel(
    study: Study,
    strategies: Mapping[str, Strategy],
    datasets: Iterable[Dataset],
    workspace: Workspace,
) -> dict[str, Content]:
    """Every file that a study reads, by its name below the workspace.

    Data in a store behind a URL stay there, and its address travels; those in memory travel. Raises
    ConfigError if a file is named by a way out of the workspace.
    """
    told: dict[str, Content] = {}
    for reference, strategy in strategies.items():
        name = reference if reference.endswith(".py") else f"strategies/{reference}.py"
        told[_inside(name)] = strategy.path
    told[_inside(study.periods)] = workspace.root / study.periods
    data = workspace.root / "data"
    settings = [path for path in data.glob("*.toml") if path.name != STORE]
    settings += (workspace.root / "extensions").glob("*.py")
    settings += (path for path in (data / "venues").rglob("*") if path.is_file())
    told |= {path.relative_to(workspace.root).as_posix(): path for path in sorted(settings)}
    return told | dict(_data([one.reference for one in datasets], workspace))


def _data(references: Sequence[Reference], workspace: Workspace) -> Iterator[tuple[str, Content]]:
    if any(one.venue == SAMPLE for one in references):
        folder = workspace.catalog.sample_folder
        for path in sorted(folder.iterdir()):
            yield f"data/{SAMPLE}/{path.name}", path
    stored = {one.folder for one in references if one.venue != SAMPLE}
    files = workspace.catalog.store.files
    if stored and isinstance(files, Remote) and not files.url.startswith("memory:"):
        told = f"url = {json.dumps(files.url)}\noptions = {_toml(files.options)}\n"
        yield f"data/{STORE}", told.encode()
        return
    for place in sorted(stored):
        for name in files.names(place):
            file = f"{place}/{name}"
            yield (
                f"data/store/{file}",
                files.root / file if isinstance(files, Disk) else files.read(file),
            )


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ConfigError(
            f"what a study names must lie in its workspace to travel to a cluster; got {name}; "
            "copy it there and name it from there"
        )
    return path.as_posix()


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items())
        return f"{{{inner}}}"
    return json.dumps(value)
