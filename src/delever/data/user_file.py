"""A file that somebody gave: its bytes, and its name as text."""

from __future__ import annotations

from pathlib import Path

from delever.errors import NotStoredError, SchemaError

__all__ = ["content", "name_of"]


def content(path: Path) -> bytes:
    """Read a file whole.

    Raises
    ------
    NotStoredError
        If there is no such file.
    SchemaError
        If it cannot be read, or is a folder or a device.
    """
    try:
        if path.exists() and not path.is_file():
            raise SchemaError(
                f"{path} must be a file; it is a folder or a device; give the path of a file"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise NotStoredError(f"there is no file {path}; give the path of an existing one") from None
    except OSError as error:
        raise SchemaError(
            f"{path}: the file cannot be read ({error.strerror}); give a readable file"
        ) from None


def name_of(path: Path) -> str:
    """Name of a file, without its folder, as text that can be stored and printed anywhere."""
    return path.name.encode("utf-8", "backslashreplace").decode()
