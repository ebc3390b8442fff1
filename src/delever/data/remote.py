"""Bytes behind an fsspec URL, such as that of an object store.

An object is replaced at once or not at all, so the order of writing that keeps a folder whole
through a crash (parts, then the manifest) keeps a bucket whole too.
"""

from __future__ import annotations

import json
import os
import random
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from delever.errors import ConfigError, StoreError

_LOCK = ".lock"
_PAUSE = 0.1
_LISTINGS_KEPT = ("s3", "s3a", "gs", "gcs")
"""Protocols whose listings fsspec keeps, where another thread may renew an old one."""
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
        for name, data in files.items():
            self._put(f"{folder}/{name}", data)

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
        return sorted(name for name in self._listed(folder) if name and not name.startswith(_LOCK))

    @property
    def caveats(self) -> tuple[str, ...]:
        """That memory forgets, where the store is there."""
        if self.url.partition(":")[0] != "memory":
            return ()
        return (f"the store {self.url} is forgotten when this process ends; name one that stays",)

    def find(self, name: str) -> list[str]:
        """Folders that hold a file of this name."""
        system, root = self._open()
        with self._said("list the store"):
            system.invalidate_cache()
            try:
                paths: list[str] = system.find(root)
            except FileNotFoundError:
                paths = []
            if not paths:
                self._must_be_there(system, root)
        ends = f"/{name}"
        return sorted(
            path.removeprefix(f"{root}/").removesuffix(ends)
            for path in paths
            if path.endswith(ends)
        )

    @contextmanager
    def lock(self, folder: str, *, wait: float) -> Iterator[None]:
        """Keep other writers out, by an object of one's own that each of them sees.

        Who has put his object and then sees nobody else's holds the lock: of two, the later to
        look sees the other. Nobody ever removes or replaces the object of a writer that may live,
        so one that died is passed over by all at once, and taking over needs no turn of its own.
        """
        token = uuid.uuid4().hex
        mine = f"{folder}/{_LOCK}-{token}"
        holder = {"host": _host(), "pid": os.getpid()}
        patience = time.monotonic() + wait
        there = False
        try:
            while True:
                others = self._holders(folder, token)
                live = {name: other for name, other in others.items() if not _died(other)}
                if not live and there:
                    break
                if not live:
                    there = True  # also where it is put and the answer is lost
                    self._put(mine, json.dumps(holder).encode())
                    continue
                if time.monotonic() >= patience:
                    name, other = min(live.items())
                    raise StoreError(
                        f"process {other.get('pid')} on {str(other.get('host')).split()[0]} is "
                        f"writing {self.url}/{folder}; waited {wait:g} s; try again when it is "
                        f"done, or remove {self.url}/{name} if it is gone"
                    )
                if there and min(live) < mine:  # of two that meet, one steps back
                    self.remove(mine)
                    there = False
                time.sleep(_PAUSE * (0.5 + random.random()))
            for name in others:
                self.remove(name)
            yield
        finally:
            if there:
                self.remove(mine)

    def _put(self, name: str, data: bytes) -> None:
        system, root = self._open()
        with self._said(f"write {name}", missing=True):
            self._make(system, f"{root}/{name.rpartition('/')[0]}")
            system.pipe_file(f"{root}/{name}", data)

    def _holders(self, folder: str, token: str) -> dict[str, dict[str, Any]]:
        """Lock objects of others, and what they say; unreadable ones say nothing."""
        found: dict[str, dict[str, Any]] = {}
        for name in self._listed(folder):
            if not name.startswith(_LOCK) or name.endswith(token):
                continue
            try:
                found[f"{folder}/{name}"] = json.loads(self.read(f"{folder}/{name}"))
            except FileNotFoundError:  # it has just gone
                continue
            except ValueError:
                found[f"{folder}/{name}"] = {}
        return found

    def _listed(self, folder: str) -> list[str]:
        """Files directly in a folder, as they are now and not as they were listed before."""
        system, root = self._open()
        with self._said(f"list {folder}"):
            system.invalidate_cache()
            fresh = {"refresh": True} if self.url.partition(":")[0] in _LISTINGS_KEPT else {}
            try:
                entries = system.ls(f"{root}/{folder}", detail=True, **fresh)
            except FileNotFoundError:
                return []
        return [entry["name"].rpartition("/")[2] for entry in entries if entry["type"] == "file"]

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

    def _must_be_there(self, system: Any, root: str) -> None:
        """Tell a store that is empty from one that is not there."""
        protocol = self.url.partition(":")[0]
        place = root.partition("/")[0] if protocol in _BUCKETS else root
        if protocol != "memory" and not system.exists(place):
            raise StoreError(
                f"there is no {place} behind {self.url}: nothing was stored there yet, or it was "
                "named wrongly; make it, import something, or name another store"
            )

    def _make(self, system: Any, folder: str) -> None:
        if self.url.partition(":")[0] not in _BUCKETS:
            system.makedirs(folder, exist_ok=True)

    @contextmanager
    def _said(self, what: str, *, missing: bool = False) -> Iterator[None]:
        """Say in our words what a library refuses in its own."""
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


def _host() -> str:
    """The machine, and where process numbers mean the same: a container counts its own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return socket.gethostname()


def _died(holder: Mapping[str, Any]) -> bool:
    """Whether the writer was a process of this machine and is no more."""
    if os.name == "nt" or holder.get("host") != _host():
        return False
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
