"""A TOML file of a user: read whole, or said in one sentence what is wrong with it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from delever.errors import ConfigError

DEEPEST = 32
"""Tables and lists within one another; no study or claim needs a third of them."""


def read_toml(path: Path, what: str = "the file") -> dict[str, Any]:
    """Read a TOML file. Raises OSError, or ConfigError as `parse_toml`."""
    return parse_toml(path.read_bytes(), path, what)


def parse_toml(content: bytes, path: Path, what: str = "the file") -> dict[str, Any]:
    """Read the content of one. Raises ConfigError if it is no TOML, or is nested too deeply."""
    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
    except RecursionError:
        raise ConfigError(_too_deep(str(path))) from None
    except ValueError as error:  # of TOML, of UTF-8, or of a number too long to be read
        raise ConfigError(f"{path}: {what} must be TOML in UTF-8; {error}; mend it") from None
    check_depth(table, str(path))
    return table


def check_depth(value: object, where: str) -> None:
    """Refuse what is nested deeper than `DEEPEST`.

    Raises ConfigError if it is nested too deeply.

    Examples
    --------
    >>> check_depth({"a": [[1, 2]]}, "study.toml")
    """
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            part
            for each in level
            if isinstance(each, dict | list)
            for part in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise ConfigError(_too_deep(where))


def _too_deep(where: str) -> str:
    return (
        f"{where}: tables and lists must be nested at most {DEEPEST} deep; these are deeper; "
        "flatten them"
    )
