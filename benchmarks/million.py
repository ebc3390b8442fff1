"""A million combinations on hourly bars: time, memory of all processes, the ledger, the page.

    python benchmarks/million.py CSV [--combinations N] [--workers N] [--keep FOLDER]

The 200-week study: 250 lengths, three averages, up to 20 weeks of confirmation, flat or short
below, two ways back, and fees as many as it takes. Memory is what all processes hold, what they
share divided among them; CPU is theirs from beginning to end. Its page is opened in headless
Chromium, the best of five: it should be loaded in 2 s and weigh less than 3 MB.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.chromium import missing, started

_EACH = 250 * 3 * 20 * 2 * 2
_STUDY = """
strategy = "ma200w_break"
data = "file/ohlcv/BTC/USDT/1h"
[sweep]
memory = 256
[sweep.params]
weeks = {{ from = 10, to = 259, step = 1 }}
average = ["sma", "ema", "wma"]
confirm_weeks = {{ from = 1, to = 20, step = 1 }}
when_below = ["flat", "short"]
reentry = ["reclaim", "confirmed"]
[sweep.costs]
taker_fee = {fees}
"""


def family(root: int) -> list[Path]:
    """Processes of this one, itself the first."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rpartition(")")[2].split()[1]
            )
    found = [root]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return [Path("/proc") / str(each) for each in found]


class Watch(threading.Thread):
    """Memory and CPU of all processes, looked at every two seconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.at, self.phase = 0, "", "begin"
        self.spent: dict[Path, float] = {}
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(2.0):
            self.look()

    def look(self) -> None:
        held = 0
        for process in family(os.getpid()):
            with contextlib.suppress(OSError, StopIteration, IndexError):
                lines = (process / "smaps_rollup").read_text().splitlines()
                held += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
                parts = (process / "stat").read_text().rpartition(")")[2].split()
                self.spent[process] = (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
        if held > self.most:
            self.most, self.at = held, self.phase

    @property
    def cpu(self) -> float:
        return sum(self.spent.values())


_MOMENTS = """() => [
    performance.getEntriesByName("first-contentful-paint")[0].startTime,
    performance.getEntriesByType("navigation")[0].loadEventEnd,
]"""


def seen_after(page: Path) -> str:
    """When a page is first painted, and when it is loaded, in seconds; the best of five."""
    if missing():
        return f"not opened: {missing()}"
    moments = []
    with started() as browser:
        for _ in range(5):
            tab = browser.new_page(viewport={"width": 1440, "height": 900})
            tab.goto(page.as_uri(), wait_until="load")
            tab.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
            moments.append([moment / 1e3 for moment in tab.evaluate(_MOMENTS)])
            tab.close()
    painted, loaded = (min(each) for each in zip(*moments, strict=True))
    return f"first painted after {painted:.2f} s, loaded after {loaded:.2f} s"


def main() -> None:
    """Sweep, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--combinations", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()

    from delever.study.results.kept_result import result
    from delever.study.sweeps.sweep import sweep
    from delever.study.workspaces.workspace import init

    watch = Watch()
    watch.start()
    with tempfile.TemporaryDirectory() as made:
        place = init(asked.keep or Path(made) / "workspace")
        place.catalog.add(asked.csv, "file/ohlcv/BTC/USDT/1h")
        path = place.backtests / "million.toml"
        fees = [round(0.0001 * n, 4) for n in range(-(-asked.combinations // _EACH))]
        path.write_text(_STUDY.format(fees=fees))
        begun = time.perf_counter()
        last = [begun]

        def progress(done: int, total: int, left: float) -> None:
            watch.phase = f"{done:,} of {total:,}"
            if done == total:
                last[0] = time.perf_counter()
                watch.look()
                print(f"chunks: {last[0] - begun:.0f} s, {watch.cpu:.0f} CPU s", flush=True)
                watch.phase = "conclusion"

        done = sweep(path, workspace=place, workers=asked.workers, progress=progress)
        wall = time.perf_counter() - begun
        watch.look()
        assert done.folder is not None
        size = sum(file.stat().st_size for file in (done.folder / "chunks").iterdir())
        ledger = sum(file.stat().st_size for file in place.trials.iterdir())
        print(
            f"{len(done.frame):,} combinations, {done.manifest['failed']:,} without a result: "
            f"{wall:.0f} s, {watch.cpu:.0f} CPU s, at most {watch.most / 2**10:.0f} MiB "
            f"(at {watch.at})\n"
            f"trials {done.n_trials:,}, ledger {ledger / 1e6:.1f} MB; columns {size / 1e6:.0f} MB; "
            f"page {(done.folder / 'sweep.html').stat().st_size / 1e6:.2f} MB, "
            f"{seen_after(done.folder / 'sweep.html')}\n{done.headline}"
        )
        watch.done.set()
        cpu = time.process_time()
        result(done.folder, workspace=place)
        opened = time.process_time() - cpu
        done.columns.read(["inside_calmar_ratio"])
        print(f"read back in {opened:.1f} CPU s, a further column in "
              f"{time.process_time() - cpu - opened:.1f} CPU s")  # fmt: skip


if __name__ == "__main__":
    main()
