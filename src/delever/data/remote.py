"""Bytes behind an fsspec URL, such as that of an object store.

An object is replaced at once or not at all, so the order of writing that keeps a folder whole
through a crash (parts, then the manifest) keeps a bucket whole too.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from delever.errors import ConfigError, StoreError

_LOCK = ".lock"
_PAUSE = 0.1
_BUCKETS = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """`delever.data.store_location.Files` below a URL."""

    url: str  # such as ``"s3://bucket/prefix"``; any protocol fsspec knows
    # what fsspec is told beside it, such as ``{"endpoint_url": "http://127.0.0.1:9000"}``.
    # Credentials belong into the environment.
    options: Mapping[str, Any] = field(default_factory=dict)

    def read(self, name: str) -> bytes:
        """Content of a file."""
        system, root = self._open()
        with self._said(f"read {name}"):
            data: bytes = system.cat_file(f"{root}/{name}")
        return data

    def write(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Put whole files in place, in their order."""
        system, root = self._open()
        for name, data in files.items():
            with self._said(f"write {folder}/{name}", missing=True):
                self._make(system, f"{root}/{folder}")
                system.pipe_file(f"{root}/{folder}/{name}", data)

    def remove(self, name: str) -> None:
        """Delete a file."""
        system, root = self._open()
        with self._said(f"remove {name}"):
            try:
                system.rm_file(f"{root}/{name}")
            except FileNotFoundError:
                return

    def names(self, folder: str) -> list[str]:
        """Files directly in a folder."""
        system, root = self._open()
        with self._said(f"list {folder}"):
            system.invalidate_cache()
            try:
                entries = system.ls(f"{root}/{folder}", detail=True)
            except FileNotFoundError:
                return []
        names = (entry["name"].rpartition("/")[2] for entry in entries if entry["type"] == "file")
        return sorted(name for name in names if name not in ("", _LOCK))

    def find(self, name: str) -> list[str]:
        """Folders that hold a file of this name."""
        system, root = self._open()
        with self._said("list the store"):
            system.invalidate_cache()
            try:
                paths: list[str] = system.find(root)
            except FileNotFoundError:
                return []
        ends = f"/{name}"
        return sorted(
            path.removeprefix(f"{root}/").removesuffix(ends)
            for path in paths
            if path.endswith(ends)
        )

    @contextmanager
    def lock(self, folder: str, *, wait: float) -> Iterator[None]:
        """Keep other writers out, by an object that only one of them can create."""
        name = f"{folder}/{_LOCK}"
        mine = json.dumps(
            {"host": socket.gethostname(), "pid": os.getpid(), "token": uuid.uuid4().hex}
        ).encode()
        patience = time.monotonic() + wait
        while not self._create(name, mine):
            holder = self._holder(name)
            if _died(holder):
                self.remove(name)
            elif time.monotonic() >= patience:
                raise StoreError(
                    f"process {holder.get('pid')} on {holder.get('host')} is writing {self.url}/"
                    f"{folder}; waited {wait:g} s; try again when it is done, or remove "
                    f"{self.url}/{name} if it is gone"
                )
            else:
                time.sleep(_PAUSE)
        try:
            yield
        finally:
            self.remove(name)

    def _create(self, name: str, data: bytes) -> bool:
        system, root = self._open()
        with self._said(f"write {name}", missing=True):
            self._make(system, f"{root}/{name.rpartition('/')[0]}")
            try:
                system.pipe_file(f"{root}/{name}", data, mode="create")
            except FileExistsError:
                return False
        # A server that does not know the condition overwrites: only what is there now counts.
        try:
            return self.read(name) == data
        except FileNotFoundError:
            return False

    def _holder(self, name: str) -> dict[str, Any]:
        try:
            holder: dict[str, Any] = json.loads(self.read(name))
        except (FileNotFoundError, ValueError):
            return {}  # it has just gone, or is no lock of ours: keep waiting
        return holder

    def _open(self) -> tuple[Any, str]:
        """File system (fsspec keeps one for each set of options) and path of the store in it."""
        import fsspec

        try:
            system, root = fsspec.url_to_fs(self.url, **self.options)
        except (ImportError, ValueError, TypeError) as error:
            raise ConfigError(
                f"the store must be a folder or a URL that fsspec opens; got {self.url!r} "
                f"({error}); s3:// needs: pip install 'delever[s3]'"
            ) from error
        return system, str(root).rstrip("/")

    def _make(self, system: Any, folder: str) -> None:
        if self.url.partition(":")[0] not in _BUCKETS:
            system.makedirs(folder, exist_ok=True)

    @contextmanager
    def _said(self, what: str, *, missing: bool = False) -> Iterator[None]:
        """Say in our words what a library refuses in its own.

        With `missing`, something that is not there is a refusal too.
        """
        try:
            yield
        except FileNotFoundError as error:
            if not missing:
                raise
            raise StoreError(f"cannot {what} in {self.url}: it does not exist") from error
        except StoreError:
            raise
        except Exception as error:  # each protocol's library has an exception tree of its own
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise StoreError(f"cannot {what} in {self.url}: {reason}") from error


def _died(holder: Mapping[str, Any]) -> bool:
    """Whether the writer was a process of this machine and is no more."""
    if os.name == "nt" or holder.get("host") != socket.gethostname():
        return False
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
