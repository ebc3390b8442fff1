"""Where a workspace keeps its store: a folder, or a URL."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from delever.data.disk import Disk
from delever.data.remote import Remote
from delever.errors import ConfigError

__all__ = ["STORE_URL", "place_of"]

STORE_URL = "DELEVER_STORE"
"""Environment variable that goes before what the workspace says."""

_FILE = "store.toml"


def place_of(root: Path) -> Disk | Remote:
    """Find the store of a workspace.

    Raises
    ------
    ConfigError
        If ``store.toml`` is not of this form.
    """
    path = root / _FILE
    options: dict[str, Any] = {}
    url: Any = None
    if path.is_file():
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(f"{path} must be TOML: {error}") from error
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
        return Disk(root=Path(url.removeprefix("file://")))
    if "://" not in url:
        return Disk(root=(root / url).absolute())
    return Remote(url=url.rstrip("/"), options=options)
