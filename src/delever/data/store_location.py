"""Where a workspace keeps its store, and what any such place can do: a folder, or a URL."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from delever.data.disk import Disk
from delever.data.remote import Remote
from delever.errors import ConfigError
from delever.toml_file import read_toml

STORE_URL = "DELEVER_STORE"
"""Environment variable that goes before what the workspace says."""

FILE = "store.toml"
"""Where a workspace says it, in its ``data`` folder."""


class Files(Protocol):
    """Named bytes below one root, on a disk or behind a URL.

    A name is a path with ``/`` between its parts, of which all but the last are folders. Every
    method raises `StoreError` where the disk or the server refuses.
    """

    @property
    def caveats(self) -> tuple[str, ...]:
        """What whoever stores something there must be told, one line each."""

    def read(self, name: str) -> bytes:
        """Content of a file. Raises FileNotFoundError if there is no such file."""

    def write(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Put whole files in place, in their order; when this returns they outlast a crash.

        A crash before that leaves each of them as it was or as it should be, never in between.
        """

    def remove(self, name: str) -> None:
        """Delete a file; one that is not there is no error."""

    def names(self, folder: str) -> list[str]:
        """Files directly in a folder, sorted, the lock left out."""

    def find(self, name: str) -> list[str]:
        """Folders at any depth that hold a file of this name, sorted."""

    def lock(self, folder: str, *, wait: float) -> AbstractContextManager[None]:
        """Keep other writers out of a folder; `StoreError` if one still holds it after `wait` s."""


def files_of(root: Path) -> Files:
    """Find the store of a workspace's ``data`` folder.

    Raises ConfigError if ``store.toml`` is not of its form.
    """
    path = root / FILE
    options: dict[str, Any] = {}
    url: Any = None
    if path.is_file():
        table = read_toml(path)
        url, options = table.pop("url", None), table.pop("options", {})
        if not isinstance(url, str) or not url or not isinstance(options, dict) or table:
            raise ConfigError(
                f'{path} must hold url = "s3://bucket/prefix" and may hold a table options; '
                f"got {', '.join(table) or f'url = {url!r}'}"
            )
    url = os.environ.get(STORE_URL) or url
    if url is None:
        return Disk(root=root / "store")
    if url.startswith("file://"):
        return Disk(root=Path(url.removeprefix("file://")), elsewhere=True)
    if "://" not in url:
        return Disk(root=(root / Path(url).expanduser()).absolute(), elsewhere=True)
    return Remote(url=url.rstrip("/"), options=options)
