"""Bytes on a disk that survive a crash: the only place where the store touches files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from delever.errors import StoreError

_LOCK = ".lock"
_UNFINISHED = ".tmp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """`delever.data.store_location.Files` below a folder."""

    root: Path  # the folder; made when something is first written
    elsewhere: bool = False  # whether it was named, so that not to find it says nothing of it

    @property
    def caveats(self) -> tuple[str, ...]:
        """None: what is on a disk stays."""
        return ()

    def read(self, name: str) -> bytes:
        """Content of a file."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"cannot read {self.root / name}: {error.strerror}") from error

    def write(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Put whole files in place, in their order."""
        place = self.root / folder
        target = place
        try:
            _make(place)
            for name, data in files.items():
                target = place / name
                _put(target, data)
            _sync(place)
        except OSError as error:
            raise StoreError(f"cannot write {target}: {error.strerror}") from error

    def remove(self, name: str) -> None:
        """Delete a file."""
        try:
            (self.root / name).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"cannot remove {self.root / name}: {error.strerror}") from error

    def names(self, folder: str) -> list[str]:
        """Files directly in a folder."""
        place = self.root / folder
        if not place.is_dir():
            return []
        return sorted(
            entry.name for entry in place.iterdir() if entry.is_file() and entry.name != _LOCK
        )

    def find(self, name: str) -> list[str]:
        """Folders that hold a file of this name."""
        self._must_be_folder()
        if not self.root.is_dir():
            if self.elsewhere:
                raise StoreError(
                    f"there is no folder {self.root}: nothing was stored there yet, or its disk is "
                    "not there; import or fetch something, mount it, or name another store"
                )
            return []
        found: list[Path] = []
        seen: set[str] = set()

        def closed(error: OSError) -> None:
            found.append(Path(str(error.filename)))

        for folder, below, files in os.walk(self.root, followlinks=True, onerror=closed):
            place = os.path.realpath(folder)
            if place in seen:  # a link back
                below.clear()
                continue
            seen.add(place)
            if name in files:
                found.append(Path(folder))
            paths = [Path(folder, file) for file in files]
            found += [path for path in paths if path.is_symlink() and not path.exists()]
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def _must_be_folder(self) -> None:
        if os.path.lexists(self.root) and not self.root.is_dir():
            raise StoreError(
                f"the store must be a folder; {self.root} is a file, or a link to nowhere; "
                "move it away, or name another store in store.toml"
            )

    @contextmanager
    def lock(self, folder: str, *, wait: float) -> Iterator[None]:
        """Keep other writers out of a folder."""
        from filelock import FileLock, Timeout

        self._must_be_folder()
        place = self.root / folder
        try:
            _make(place)
            held = FileLock(place / _LOCK, timeout=wait)
            held.acquire()
        except Timeout:
            raise StoreError(
                f"another process is writing {place}; waited {wait:g} s; try again when it is done"
            ) from None
        except OSError as error:
            raise StoreError(f"cannot write to {place}: {error.strerror}") from error
        try:
            yield
        finally:
            held.release()


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Replace a file at once when what replaces it is there, or leave it as it was.

    Raises StoreError if the disk refuses, or what is there is no file: a folder or a device is
    never replaced.
    """
    target = Path(os.path.realpath(target))
    if target.exists() and not target.is_file():
        raise StoreError(f"cannot write {target}: it is a folder or a device; give another path")
    unfinished = target.with_name(f"{_UNFINISHED}-{os.getpid()}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        unfinished.replace(target)
    except OSError as error:
        raise StoreError(
            f"cannot write {target}: {error.strerror or error}; give another path or make room"
        ) from error
    finally:
        with suppress(OSError):  # what was raised before is the one to report
            unfinished.unlink(missing_ok=True)


def write_page(path: Path, text: str) -> None:
    """Write a page of text, whole or not at all.

    Raises StoreError if the disk refuses; what was there before is left as it was.
    """
    with whole(path) as place:
        place.write_text(text, encoding="utf-8")


def _put(target: Path, data: bytes) -> None:
    unfinished = target.with_name(target.name + _UNFINISHED)
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except OSError:
        with suppress(OSError):  # the first refusal is the one to report
            unfinished.unlink(missing_ok=True)
        raise


def _make(folder: Path) -> None:
    """Make a folder and those above it, each known to the disk before anything is put in it."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows has no handle for a folder; its rename is journalled.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
