"""A writer killed by the system at every change it makes to the disk, one after the other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from delever.data.catalog import Catalog

NAME = "v/ohlcv/BTC/USD/1h"

WRITER = '''
import os, signal, sys
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

root = Path(sys.argv[1])
if sys.argv[2] == "resume":
    for folder in root.iterdir():
        write(folder)
    sys.exit()
for change in range(0, 200, int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        die_at(change)
        write(root / str(change))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        sys.exit(os.WEXITSTATUS(status))
    assert os.WTERMSIG(status) == signal.SIGKILL
sys.exit(9)
'''


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
    script.write_text(WRITER)
    root = tmp_path / "stores"
    root.mkdir()
    command = [sys.executable, str(script), str(root)]
    subprocess.run([*command, str(apart)], check=True, timeout=300)
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
    subprocess.run([*command, "resume"], check=True, timeout=300)
    for run in runs:
        assert contents(run) == expected
