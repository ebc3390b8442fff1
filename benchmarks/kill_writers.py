"""Two writers of one data set, killed at every kind of step: all rows in the end, or a refusal.

python -m benchmarks.kill_writers [KILLS]

Half of the kills are on a disk (at fsync, rename, unlink, and around the lock), half on a server
that speaks S3 (at every put, read, listing and removal, those of the lock among them). One writer
is killed by the system at one step while another writes beside it; every third time that one is
killed too. After each kill what is stored must be whole and true, and hold all that a writer who
ended well has written; then the killed ones are started again, and every row must be there.
"""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd

from delever.data.catalog import Catalog

NAME = "v/ohlcv/BTC/USD/1h"
PAGES, ROWS = 4, 30
FRAME = pd.DataFrame(
    {name: [float(n) for n in range(1, 2 * PAGES * ROWS + 1)] for name in ("open", "close")}
    | {name: [float(n) for n in range(1, 2 * PAGES * ROWS + 1)] for name in ("high", "low")},
    index=pd.date_range("2021-01-28", periods=2 * PAGES * ROWS, freq="h", tz="UTC", unit="ns"),
).assign(volume=1.0)
STEPS = {
    "disk": ("os.fsync", "os.replace", "os.unlink", "lock.acquire", "lock.release"),
    "s3": ("s3._pipe_file", "s3._cat_file", "s3._lsdir", "s3._rm_file"),
}


def die_at(steps: tuple[str, ...], place: int, *, after: bool) -> list[int]:
    """Be killed instead of taking the step of this number, or once it was taken; counts them."""
    count = [0]

    def reached(turn: int, *, over: bool) -> None:
        if turn == place and over == after:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(call):  # type: ignore[no-untyped-def]
        def plain(*args, **kwargs):  # type: ignore[no-untyped-def]
            count[0] += 1
            turn = count[0]
            reached(turn, over=False)
            answer = call(*args, **kwargs)
            reached(turn, over=True)
            return answer

        async def awaited(*args, **kwargs):  # type: ignore[no-untyped-def]
            count[0] += 1
            turn = count[0]
            reached(turn, over=False)
            answer = await call(*args, **kwargs)
            reached(turn, over=True)
            return answer

        return awaited if inspect.iscoroutinefunction(call) else plain

    for step in steps:
        where, name = step.split(".")
        if where == "os":
            holder: object = os
        elif where == "lock":
            import filelock

            holder = filelock.BaseFileLock
        else:
            import s3fs

            holder = s3fs.S3FileSystem
        setattr(holder, name, counted(getattr(holder, name)))
    return count


def write(root: Path, writer: int) -> None:
    """Append every second page, row by row interleaved with those of the other writer."""
    rows = FRAME.iloc[writer::2]
    for page in range(PAGES):
        part = rows.iloc[page * ROWS : (page + 1) * ROWS]
        Catalog(root).append(NAME, part, provenance={"writer": writer}, wait=60.0)


def child(root: str, kind: str, writer: str, place: str, after: str) -> None:
    count = die_at(STEPS[kind], int(place), after=after == "after")
    write(Path(root), int(writer))
    print(count[0])


def started(root: Path, kind: str, writer: int, place: int, after: bool) -> subprocess.Popen[str]:
    words = ["child", str(root), kind, str(writer), str(place), "after" if after else "before"]
    command = [sys.executable, "-m", "benchmarks.kill_writers", *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )


def held_to_truth(root: Path, ended: set[int]) -> int:
    """How many rows are stored, all true, and among them all of writers that ended well."""
    catalog = Catalog(root)
    if NAME not in [str(entry.reference) for entry in catalog.list()]:
        assert not ended, "all rows of a writer that ended well are lost"
        return 0
    assert not catalog.check(NAME)[0].problems
    rows = catalog.load(NAME).frame
    true = FRAME.loc[rows.index, list(rows.columns)]
    pd.testing.assert_frame_equal(rows, true, check_names=False, check_freq=False)
    for writer in ended:
        assert FRAME.index[writer::2].isin(rows.index).all(), f"writer {writer} lost rows"
    return len(rows)


def trial(root: Path, kind: str, places: tuple[int, int], after: bool) -> Counter[str]:
    """One kill, or two; returns what the writers came to."""
    came = Counter[str]()
    writers = [started(root, kind, n, places[n], after) for n in (0, 1)]
    ended = set()
    for number, process in enumerate(writers):
        _, told = process.communicate(timeout=300)
        if process.returncode == 0:
            came["ended"] += 1
            ended.add(number)
        elif process.returncode == -signal.SIGKILL:
            came["killed"] += 1
        else:
            assert "StoreError" in told, told
            came["refused"] += 1
    held_to_truth(root, ended)
    for number in {0, 1} - ended:
        again = started(root, kind, number, 0, after)
        _, told = again.communicate(timeout=300)
        assert again.returncode == 0, told
    assert held_to_truth(root, {0, 1}) == len(FRAME)
    return came


def trials(kind: str, kills: int, folder: Path, store: str) -> None:
    def root_of(number: int) -> Path:
        root = folder / f"{kind}{number}"
        root.mkdir()
        if store:
            (root / "store.toml").write_text(store.replace("NUMBER", str(number)))
        return root

    alone = started(root_of(0), kind, 0, 0, after=False)
    told, trouble = alone.communicate(timeout=300)
    assert alone.returncode == 0, trouble
    steps = int(told)
    begun, came, number = time.perf_counter(), Counter[str](), 0
    while came["killed"] < kills:
        number += 1
        place = 1 + (number * 7919) % steps
        other = 1 + (number * 104_729) % steps if number % 3 == 0 else 0
        came += trial(root_of(number), kind, (place, other), after=number % 2 == 0)
    said = ", ".join(f"{n} {what}" for what, n in sorted(came.items()))
    seconds = time.perf_counter() - begun
    print(f"{kind}: {steps} steps a writer; {number} trials of two writers: {said}", flush=True)
    print(f"  in the end every row of every trial ({seconds:.0f} s)", flush=True)


def main(kills: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trials("disk", kills // 2, Path(folder), "")
        from moto.server import ThreadedMotoServer

        os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            import fsspec

            host, port = server.get_host_and_port()
            url = f"http://{host}:{port}"
            fsspec.filesystem("s3", endpoint_url=url).mkdir("kills")
            options = f'[options]\nendpoint_url = "{url}"\n'
            trials("s3", kills - kills // 2, Path(folder), f'url = "s3://kills/NUMBER"\n{options}')
        finally:
            server.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
