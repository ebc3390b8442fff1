"""How far the shipped strategies are proven: prints the table of docs/honesty.md.

    python -m benchmarks.honesty [BARS.csv]

In a workspace of its own: each strategy is run, swept and walked on the embedded sample, or on
daily bars of a CSV file, then asked by `dl.verdict`. The last rung is not asked.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import delever as dl

PARAMS = {
    "ma200w_break": "weeks = 200",
    "support_breach": "weeks = 26",
    "ma200w_mean_reversion": "weeks = 200",
}
AXES = {
    "ma200w_break": 'weeks = { from = 20, to = 250, step = 10 }\naverage = ["sma", "ema", "wma"]',
    "support_breach": "weeks = { from = 4, to = 104, step = 4 }",
    "ma200w_mean_reversion": "weeks = { from = 20, to = 250, step = 10 }",
}
SAMPLE = "sample/ohlcv/BTC/USD/1d"
_SAID = {True: "passed", False: "failed", None: "not asked"}


def proven(place: Path, name: str, data: str) -> dl.Standing:
    study = place / "backtests" / f"proven_{name}.toml"
    study.write_text(
        f'strategy = "{name}"\ndata = "{data}"\n[params]\n{PARAMS[name]}\n'
        f"[sweep.params]\n{AXES[name]}\n"
    )
    run = dl.run(study, workers=2, workspace=place)
    dl.sweep(study, workers=1, workspace=place)
    dl.walk_forward(study, workspace=place).store(place)
    return dl.verdict(run, workspace=place)


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = dl.init(Path(folder) / "workspace").root
        data = SAMPLE
        if arguments:
            data = "proven/ohlcv/BTC/USD/1d"
            dl.import_data(
                [arguments[0]], venue="proven", symbol="BTC/USD", timeframe="1d", workspace=place
            )
        found = {name: proven(place, name, data) for name in AXES}
    print(f"| rung | {' | '.join(f'`{name}`' for name in found)} |")
    print(f"|---|{'---|' * len(found)}")
    print(f"| | {' | '.join(f'**{one.word}**' for one in found.values())} |")
    for row in zip(*(one.rungs for one in found.values()), strict=True):
        told = (
            f"{_SAID[one.passed]}: {one.figure}" if one.figure else _SAID[one.passed] for one in row
        )
        print(f"| {row[0].name} | {' | '.join(told)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
