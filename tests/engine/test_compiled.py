"""What is compiled is kept by the hash of its sources, wherever that can be written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from delever.engine import compiled as room

PACKAGE = Path(room.__file__).parents[1]
ASK = """
from delever.engine.arithmetic import in_lots
from delever.engine.compiled import cache_folder, compiled

@compiled()
def twice(size):
    return 2.0 * in_lots(size, 0.5)

print(twice(1.2), cache_folder())
"""


def asked(source: Path, **environment: str) -> tuple[float, str]:
    """What a process of its own says, on a copy of the package."""
    script = source / "ask.py"
    script.write_text(ASK)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(source), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    value, _, folder = done.stdout.strip().partition(" ")
    return float(value), folder


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The package, copied without what was compiled of it."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "src" / "delever", ignore=ignored)
    return tmp_path / "src"


def test_a_change_in_an_imported_function_is_seen(copied: Path, tmp_path: Path) -> None:
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    first = asked(copied, **cache)
    assert first == asked(copied, **cache)
    assert first[0] == 2.0
    assert list(Path(first[1]).glob("*.nbc"))
    file = copied / "delever" / "engine" / "arithmetic.py"
    file.write_text(file.read_text().replace("* lot, wanted))", "* lot + 1.0, wanted))"))
    changed = asked(copied, **cache)
    assert changed[0] == 4.0
    assert changed[1] != first[1]


def test_places_are_tried_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = tmp_path / "a file"
    taken.write_text("")
    places = [taken / "below", tmp_path / "there"]
    monkeypatch.setattr(room, "_places", lambda: places)
    room.cache_folder.cache_clear()
    found = room.cache_folder()
    assert found is not None
    assert found.parent == tmp_path / "there"
    places[:] = [taken / "below"]
    room.cache_folder.cache_clear()
    assert room.cache_folder() is None
    room.cache_folder.cache_clear()


def test_where_nothing_can_be_written_it_runs_all_the_same(copied: Path) -> None:
    taken = copied / "a file"
    taken.write_text("")
    assert asked(copied, NUMBA_CACHE_DIR=str(taken)) == (2.0, "None")
