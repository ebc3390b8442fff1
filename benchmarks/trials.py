"""Eight processes append 10,000 trials each to one ledger while one of them is killed now and then.

None is lost, none stands there twice, and a killed writer leaves a ledger that is read and written.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd

from delever.study.ledger.trials import Ledger, read_markets, read_trials

_STEP = 250


def _append(folder: Path, first: int, size: int) -> None:
    ledger = Ledger(folder=folder, found={"w1": "1.5"}, reference="made", last="2020-01-01")
    until = pd.Timestamp("2020-01-01", tz="UTC")
    for begin in range(first, first + size, _STEP):
        made = [
            {"strategy": {"name": "s"}, "params": {"n": n}} for n in range(begin, begin + _STEP)
        ]
        ledger.record(made, by="run", study="s", until=until)


def main() -> None:
    """Append from processes, kill some, and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--append", nargs=3, help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.append:
        folder, first, size = said.append
        _append(Path(folder), int(first), int(size))
        return
    with tempfile.TemporaryDirectory() as name:
        folder, begun = Path(name), time.monotonic()

        def start(first: int) -> subprocess.Popen[bytes]:
            own = (str(folder), str(first), str(said.trials))
            return subprocess.Popen([sys.executable, __file__, "--append", *own])

        firsts = [number * said.trials for number in range(said.processes)]
        running = [start(first) for first in firsts]
        for _ in range(said.kills):  # one more writes the first part again, and is killed at it
            victim = start(0)
            time.sleep(2.0)
            victim.kill()
            victim.wait()
        for each in running:
            each.wait()
        [market] = read_markets(folder)
        lines = (folder / f"{market.id}.jsonl").read_text().splitlines()
        written = Counter(json.loads(line)["id"] for line in lines if line.endswith("}"))
        counts = Counter(trial["params"]["n"] for trial, _ in read_trials(folder, market.id))
        wanted = said.processes * said.trials
        print(
            f"{wanted:,} appended in {time.monotonic() - begun:.0f} s, "
            f"{wanted - len(counts):,} lost, {sum(n > 1 for n in written.values()):,} twice, "
            f"{said.kills} writers killed"
        )


if __name__ == "__main__":
    main()
