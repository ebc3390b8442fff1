"""The package's files and what they say, parsed once for every test that reads them."""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "delever"
GROUP = "sources"
"""Of tests that read them: one process parses all."""


@cache
def sources() -> dict[Path, tuple[str, ast.Module]]:
    """Every file of the package, its text and what it says."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.py"))}
    gc.disable()  # half a million nodes, and nothing among them to collect
    try:
        parsed = {path: (text, ast.parse(text)) for path, text in texts.items()}
        gc.freeze()
    finally:
        gc.enable()
    return parsed
