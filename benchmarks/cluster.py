"""A scheduler and workers as processes of their own on the loopback: faults, and efficiency.

    python benchmarks/cluster.py faults [--kills 20]      workers killed, scheduler and client too
    python benchmarks/cluster.py efficiency [--workers 1 2 4]

Only processes that were started here are killed, by their number. Every sweep is compared with the
same sweep at home, file by file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from delever.research.null_markets import simulate_bars
from delever.study.machines.cluster import open_cluster
from delever.study.sweeps.sweep import sweep
from delever.study.workspaces.workspace import Workspace, init

_STUDY = """
strategy = "ma200w_break"
data = "{data}"
[sweep.params]
weeks = {{ from = 10, to = 109, step = 1 }}
average = ["sma", "ema", "wma"]
confirm_weeks = {{ from = 1, to = {confirm}, step = 1 }}
when_below = ["flat", "short"]
reentry = ["reclaim", "confirmed"]
[sweep.costs]
taker_fee = {fees}
"""
_FEES = [0.0, 0.0005, 0.001, 0.0015, 0.002]
_HOURS = 77_374


class There:
    """A scheduler and workers on the loopback; their processes are known by number."""

    def __init__(self, folder: Path, workers: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.folder, self.many = folder, workers
        self.begin()

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        script = Path(sys.executable).with_name("dask")
        kept = {**os.environ, "DELEVER_CACHE": str(self.folder / "cache"), "NUMBA_NUM_THREADS": "1"}
        log = (self.folder / "log.txt").open("ab")
        return subprocess.Popen(
            [str(script), *command, "--host", "127.0.0.1", "--no-dashboard"],
            cwd=self.folder, env=kept, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip

    def begin(self) -> None:
        self.scheduler = self._start("scheduler", "--port", str(self.port))
        self.nannies = [
            self._start("worker", self.address, "--nthreads", "1") for _ in range(self.many)
        ]

    def workers(self) -> list[int]:
        """Numbers of the worker processes: children of the nannies started here."""
        own = {nanny.pid for nanny in self.nannies}
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent in own and b"spawn_main" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
        return found

    def end(self) -> None:
        for process in (*self.nannies, self.scheduler):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def cpu(self) -> float:
        """Seconds that the workers there are have computed."""
        spent = 0.0
        for worker in self.workers():
            parts = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
            spent += (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
        return spent


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[There]:
    there = There(folder, workers)
    try:
        yield there
    finally:
        there.end()


def stored(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def written(
    place: Workspace,
    confirm: int,
    data: str = "sample/ohlcv/BTC/USD/1d",
    fees: Sequence[float] = _FEES,
) -> Path:
    path = place.backtests / "grid.toml"
    path.write_text(_STUDY.format(confirm=confirm, data=data, fees=list(fees)))
    return path


def told(what: str, same: bool) -> None:
    print(f"{what}: {'the same bytes' if same else 'OTHER BYTES'}", flush=True)
    if not same:
        raise SystemExit(1)


def faults(place: Workspace, folder: Path, kills: int) -> None:
    path = written(place, 2)
    at_home = sweep(path, workspace=place, workers=2)
    assert at_home.folder is not None
    kept = stored(at_home.folder)
    chance, killed = random.Random(0), [0]

    def killing(done: int, total: int, left: float) -> None:
        there_are = there.workers()
        if killed[0] < kills and there_are:
            os.kill(chance.choice(there_are), signal.SIGKILL)
            killed[0] += 1

    with cluster(folder, 2) as there:
        while killed[0] < kills:
            begun = time.monotonic()
            with open_cluster(there.address) as pool:
                away = sweep(path, workspace=place, cluster=pool, fresh=True, progress=killing)
            assert away.folder is not None
            told(f"{len(away.frame):,} combinations, {killed[0]} workers killed so far, "
                 f"{time.monotonic() - begun:.0f} s", stored(away.folder) == kept)  # fmt: skip

        seen: list[int] = []

        def restarting(done: int, total: int, left: float) -> None:
            seen.append(done)
            if len(seen) == 3:
                there.end()
                there.begin()

        with open_cluster(there.address) as pool:
            away = sweep(path, workspace=place, cluster=pool, fresh=True, progress=restarting)
        assert away.folder is not None
        told("scheduler and workers killed and started again in mid-sweep",
             stored(away.folder) == kept)  # fmt: skip

        for file in (away.folder / "chunks").iterdir():
            file.unlink()
        script = Path(sys.executable).with_name("delever")
        command = [str(script), "sweep", str(path), "--cluster", there.address]
        client = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=place.root
        )
        while client.poll() is None and not [*(away.folder / "chunks").iterdir()]:
            time.sleep(0.02)
        client.kill()
        client.wait()
        left = len([*(away.folder / "chunks").iterdir()])
        again = sweep(path, workspace=place, cluster=there.address)
        assert again.folder is not None
        told(f"client killed after {left} chunks, {again.resumed:,} combinations taken up again",
             stored(again.folder) == kept)  # fmt: skip


def efficiency(place: Workspace, folder: Path, many: list[int]) -> None:
    place.catalog.add(
        simulate_bars(_HOURS, seed=1).set_axis(
            pd.date_range("2017-01-01", periods=_HOURS, freq="h", tz="UTC", name="open_time")
        ).assign(volume=1.0),
        "made/ohlcv/BTC/USDT/1h",
    )  # fmt: skip
    path = written(place, 20, "made/ohlcv/BTC/USDT/1h", [step / 10_000 for step in range(9)])
    print("| workers | wall | CPU of the workers | efficiency by wall | by CPU |\n"
          "|---:|---:|---:|---:|---:|")  # fmt: skip
    first: tuple[float, float] | None = None
    for workers in many:
        with cluster(folder, workers) as there, open_cluster(there.address) as pool:
            while pool.workers < workers:
                time.sleep(0.1)
            # Everything is loaded and compiled before the clock starts.
            sweep(path, workspace=place, cluster=pool, fresh=True,
                  set={"sweep.params.confirm_weeks": [1, 2]})  # fmt: skip
            last: list[float] = []

            def ended(done: int, total: int, left: float, last: list[float] = last) -> None:
                last.append(time.perf_counter())

            cpu, begun = there.cpu(), time.perf_counter()
            sweep(path, workspace=place, cluster=pool, fresh=True, progress=ended)
            wall, spent = last[-1] - begun, there.cpu() - cpu
        first = first or (wall * workers, spent)
        print(f"| {workers} | {wall:.1f} s | {spent:.1f} s | {first[0] / (wall * workers):.0%} | "
              f"{first[1] / spent:.0%} |", flush=True)  # fmt: skip


def main() -> None:
    """Do what is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["faults", "efficiency"])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended then, too
    with tempfile.TemporaryDirectory() as made:
        place = init(Path(made) / "workspace")
        if asked.what == "faults":
            faults(place, Path(made), asked.kills)
        else:
            efficiency(place, Path(made), asked.workers)


if __name__ == "__main__":
    main()
