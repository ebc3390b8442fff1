"""What of a workspace a study needs: the files that a cluster carries to its workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from delever.data.disk import Disk
from delever.data.remote import Remote
from delever.data.sample_data import SAMPLE
from delever.errors import ConfigError
from delever.study.kept.provenance import Inputs
from delever.study.settings.config import Study
from delever.study.workspaces.workspace import Workspace

Content = Path | bytes
"""A file, or what it is to hold."""


def parcel(study: Study, inputs: Inputs, workspace: Workspace) -> dict[str, Content]:
    """Every file that a study reads, by its name below the workspace.

    Data in a store behind a URL stay there: its address travels. Raises ConfigError if a file is
    named by a way out of the workspace.
    """
    told: dict[str, Content] = {}
    for reference, strategy in (
        (study.strategy, inputs.strategy),
        (study.benchmark, inputs.benchmark),
    ):
        name = reference if reference.endswith(".py") else f"strategies/{reference}.py"
        told[_inside(name)] = strategy.path
    told[_inside(study.periods)] = workspace.root / study.periods
    data = workspace.root / "data"
    settings = [data / "sources.toml", data / "holdout.toml"]
    settings += sorted((workspace.root / "extensions").glob("*.py"))
    if study.account is not None:
        settings += sorted(path for path in (data / "venues").rglob("*") if path.is_file())
    told |= {
        path.relative_to(workspace.root).as_posix(): path for path in settings if path.is_file()
    }
    return told | dict(_data(inputs, workspace))


def _data(inputs: Inputs, workspace: Workspace) -> Iterator[tuple[str, Content]]:
    sets = [inputs.data, *inputs.series.values(), *inputs.account_data.values()]
    sets += [] if inputs.warmup is None else [inputs.warmup]
    if any(one.reference.venue == SAMPLE for one in sets):
        folder = workspace.catalog.sample_folder
        for path in sorted(folder.iterdir()):
            yield f"data/{SAMPLE}/{path.name}", path
    stored = {one.reference.folder for one in sets if one.reference.venue != SAMPLE}
    files = workspace.catalog.store.files
    if stored and isinstance(files, Remote):
        told = f"url = {json.dumps(files.url)}\noptions = {_toml(files.options)}\n"
        yield "data/store.toml", told.encode()
    elif isinstance(files, Disk):
        for place in sorted(stored):
            for name in files.names(place):
                yield f"data/store/{place}/{name}", files.root / place / name


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
