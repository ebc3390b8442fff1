"""A writer killed by the system at every change it makes to the disk, one after the other."""

from __future__ import annotations

import contextlib
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from delever.data.catalog import Catalog
from delever.errors import NotStoredError

NAME = "v/ohlcv/BTC/USD/1h"

DIE = '''
import os, signal

def die_at(change):
    """Be killed instead of making the change of this number."""
    left = [change]
    def wrapped(call):
        def before(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)
        return before
    for name in ("fsync", "mkdir", "unlink", "replace"):
        setattr(os, name, wrapped(getattr(os, name)))

def kill_at_each(work, root, apart, prepare=lambda folder: None):
    """Work in a folder of its own for each change, killed at it, until one gets through."""
    for change in range(0, 400, apart):
        prepare(root / str(change))
        child = os.fork()
        if child == 0:
            die_at(change)
            work(root / str(change))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))
        assert os.WTERMSIG(status) == signal.SIGKILL
    sys.exit(9)
'''

WRITER = """
import sys
from pathlib import Path
import pandas as pd
from pyarrow import parquet
from delever.data.catalog import Catalog

NAME = "v/ohlcv/BTC/USD/1h"
HOUR = pd.Timedelta(hours=1)

def pages():
    index = pd.date_range("2021-01-31", periods=36, freq="h", tz="UTC")
    price = [float(count) for count in range(1, 37)]
    columns = ("open", "high", "low", "close", "volume")
    frame = pd.DataFrame(dict.fromkeys(columns, price), index=index)
    for start in range(0, 36, 12):
        page = frame.iloc[max(0, start - 2) : start + 12 - (start == 12)]
        yield page, [(page.index[0], page.index[-1] + HOUR, "present")]

def write(folder):
    for page, covered in pages():
        Catalog(folder).append(NAME, page, covered=covered, provenance={"venue": "v"})

if __name__ == "__main__":
    kill_at_each(write, Path(sys.argv[1]), int(sys.argv[2]))
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.skipif(os.name == "nt", reason="Windows has no fork")
def test_a_writer_killed_anywhere_loses_nothing_and_is_taken_up_again(
    tmp_path: Path, pytestconfig: pytest.Config
):
    """At every change with --all, at every third otherwise."""
    apart = 1 if pytestconfig.getoption("--all") else 3
    script = tmp_path / "writer.py"
    script.write_text(DIE + WRITER)
    root = tmp_path / "stores"
    root.mkdir()
    command = [sys.executable, str(script), str(root), str(apart)]
    subprocess.run(command, check=True, timeout=300)
    runs = sorted(root.iterdir(), key=lambda path: int(path.name))
    assert len(runs) > 20 // apart
    whole = Catalog(runs[-1]).load(NAME).frame
    assert whole["close"].tolist() == list(range(1, 37))
    seen = set()
    for run in runs[:-1]:
        catalog = Catalog(run)
        if catalog.list():
            assert catalog.check(NAME)[0].problems == ()
            frame = catalog.load(NAME).frame
            pd.testing.assert_frame_equal(frame, whole.iloc[: len(frame)])
            seen.add(len(frame))
    # Each page whole, and nothing in between. The second lacks its last bar until the third.
    assert seen == {12, 23, 36}
    expected = contents(runs[-1])
    write = runpy.run_path(str(script))["write"]
    for run in runs:
        write(run)
        assert contents(run) == expected


MENDER = '''
import shutil, sys
from pathlib import Path
import pandas as pd
from delever.data.catalog import Catalog
from delever.data.mender import Signature
from delever.data.references import Reference

NAME = Reference.parse("v/ohlcv/BTC/USD/1h")
BY = Signature(who="ann", when=pd.Timestamp("2021-03-01", tz="UTC"), why="a test")

def change(folder, heard=lambda: None):
    """Every change by hand once, in two months."""
    catalog = Catalog(folder)
    rows = catalog.load(NAME).frame
    mender, day = catalog.mender, pd.Timestamp("2021-02-01", tz="UTC")
    for step in (
        lambda: mender.drop(NAME, day + pd.Timedelta(hours=9), None, BY),
        lambda: mender.put(NAME, rows.iloc[18:30] + 1, None, {}, BY),
        lambda: mender.mend(NAME, rows.iloc[3:4] + 2, {}, BY),
        lambda: mender.quarantine(NAME, rows.index[20], rows.index[28], BY),
        lambda: mender.release(NAME, rows.index[20], rows.index[22], BY),
        lambda: mender.remove(NAME, BY),
        lambda: mender.undo(NAME),
    ):
        step()
        heard()

root = Path(sys.argv[1])
first, began = root / "first", pd.date_range("2021-01-31", periods=36, freq="h", tz="UTC")
columns = ("open", "high", "low", "close", "volume")
price = [float(count) for count in range(1, 37)]
Catalog(first).add(pd.DataFrame(dict.fromkeys(columns, price), index=began), NAME)
ids = [Catalog(first).load(NAME).id]
whole = root / "whole"
shutil.copytree(first, whole)
change(whole, lambda: ids.append(Catalog(whole).load(NAME).id if Catalog(whole).list() else ""))
print(*ids, sep="\\n", flush=True)

kill_at_each(
    change, root / "killed", int(sys.argv[2]), lambda folder: shutil.copytree(first, folder)
)
'''


@pytest.mark.skipif(os.name == "nt", reason="Windows has no fork")
def test_a_change_by_hand_killed_anywhere_is_made_or_not_and_can_be_undone(
    tmp_path: Path, pytestconfig: pytest.Config
):
    """At every change to the disk with --all, at every fifth otherwise."""
    apart = 1 if pytestconfig.getoption("--all") else 5
    script = tmp_path / "mender.py"
    script.write_text(DIE + MENDER)
    command = [sys.executable, str(script), str(tmp_path), str(apart)]
    done = subprocess.run(command, check=True, timeout=300, capture_output=True, text=True)
    ids = done.stdout.split("\n")[:-1]
    assert len(set(ids)) == 7
    assert ids[-2:] == ["", ids[5]]
    first = Catalog(tmp_path / "first").load(NAME)
    seen = set()
    for folder in sorted((tmp_path / "killed").iterdir()):
        catalog = Catalog(folder)
        there = catalog.list()
        seen.add(ids.index(there[0].id if there else ""))
        assert [one.problems for one in catalog.check()] == [()] * len(there)
        undone = 0
        with contextlib.suppress(NotStoredError):  # there is nothing left to undo
            while undone < 9:
                catalog.mender.undo(first.reference)
                undone += 1
        assert undone < 9
        pd.testing.assert_frame_equal(catalog.load(NAME).frame, first.frame)
    assert seen >= {0, 5, 6}
