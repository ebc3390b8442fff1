"""Make the embedded sample from the wheel of hypertrial 0.1.14 (MIT), without installing it.

Run from the root of the project::

    python data/sample/make_sample.py

The wheel holds daily Bitcoin closes in US dollars (CoinMetrics community data). A close says
nothing about the day's path: the open is the previous close, high and low are the larger and the
smaller of the two, and volume is left undefined.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE, VERSION, MEMBER = "hypertrial", "0.1.14", "core/data/btc_price_data.csv"
TARGET = Path(__file__).with_name("btc_usd_1d.csv")


def read_member(folder: Path) -> str:
    """Download the wheel and read the price file out of it."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder),
         f"{PACKAGE}=={VERSION}"],
        check=True,
    )  # fmt: skip
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(MEMBER).decode()


def bars(text: str) -> list[tuple[str, str, str, str, str, str]]:
    """Rows of timestamp, open, high, low, close, volume; prices keep the source's digits."""
    rows = []
    previous = None
    for day, close in list(csv.reader(io.StringIO(text)))[1:]:
        opened = previous or close
        low, high = sorted((opened, close), key=float)
        rows.append((f"{day}T00:00:00Z", opened, high, low, close, ""))
        previous = close
    return rows


def main() -> None:
    """Write the CSV and its metadata beside this script."""
    with tempfile.TemporaryDirectory() as folder:
        rows = bars(read_member(Path(folder)))
    with TARGET.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("timestamp", "open", "high", "low", "close", "volume"))
        writer.writerows(rows)
    metadata = {
        "venue": "sample",
        "kind": "ohlcv",
        "symbol": "BTC/USD",
        "timeframe": "1d",
        "file": TARGET.name,
        "package": PACKAGE,
        "version": VERSION,
        "path": MEMBER,
        "licence": "MIT (package); CC BY-NC 4.0 (upstream: CoinMetrics community data)",
        "sha256": hashlib.sha256(TARGET.read_bytes()).hexdigest(),
        "start": rows[0][0],
        "end": rows[-1][0],
        "rows": len(rows),
        "close_only": True,
        "notes": ["close-only: intraday extremes unseen"],
    }
    TARGET.with_name("metadata.json").write_text(json.dumps(metadata, indent=2) + "\n")


if __name__ == "__main__":
    main()
