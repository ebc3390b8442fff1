"""What a run was made from: every input by its hash, and the one hash over all of them."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from delever.data.source import Dataset

__all__ = [
    "canonical_json",
    "code_sha256",
    "describe",
    "file_sha256",
    "git_state",
    "run_id",
    "versions",
]

_NUMERIC = ("delever", "numpy", "pandas", "numba", "ta")


def canonical_json(value: object) -> str:
    """One text per value: sorted keys, shortest exact floats, NaN refused."""
    return json.dumps(value, sort_keys=True, indent=2, allow_nan=False, default=str) + "\n"


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def code_sha256() -> str:
    """Hash of the package's own source, so that no result outlives the code that made it."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in {".py", ".j2", ".html", ".css", ".js"} and "_workspace" not in path.parts:
            digest.update(f"{path.relative_to(package).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of everything that can change a number."""
    return {"python": platform.python_version()} | {name: version(name) for name in _NUMERIC}


def git_state(root: Path) -> dict[str, Any]:
    """Commit of the workspace and whether its files differ from it; None where there is no git."""

    def ask(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = ask("status", "--porcelain")
    return {"sha": ask("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


def describe(data: Dataset) -> dict[str, Any]:
    """Reference, content hash, span and gaps of a data set."""
    index = data.frame.index
    return {
        "reference": str(data.reference),
        "sha256": data.id,
        "rows": len(index),
        "start": f"{index[0]:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{index[-1]:%Y-%m-%dT%H:%M:%SZ}",
        "publication_lag": str(data.publication_lag),
        "gaps": len(data.gaps) if data.reference.kind == "ohlcv" else None,
        "notes": list(data.notes),
    }


def run_id(inputs: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that stand for every input of a run."""
    return hashlib.sha256(canonical_json(inputs).encode()).hexdigest()[:12]
